"""Run the image encoder on images as they come."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor

from samdomain.errors import InputError
from samdomain.sam.embedding import Embedding
from samdomain.sam.frame import Frame, resize_image
from samdomain.sam.model import SamLike
from samdomain.sam.spec import SamSpec

# Keeps a constant image finite under min-max scaling; far below one step of 16-bit data.
_SMALLEST_RANGE = 1e-8

Images = Num[Tensor, "*b c h w"] | Sequence[Num[Tensor, "c _ _"]]
"""One image (C, H, W), a batch (B, C, H, W), or images of different sizes; see `encode`."""


def encode(
    sam: SamLike,
    pixels: Images,
    value_range: tuple[float, float] | None = None,
) -> Embedding:
    """Encode a batch of images once, for any number of decodings.

    Args:
        sam: model to encode with; it is used as it stands (mode, device, gradients).
        pixels: one image (C, H, W), a batch (B, C, H, W), or images of different sizes,
            in the values that the spec asks for: 0 to 255 for published weights.
        value_range: lowest and highest value, where the spec scales by minimum and maximum;
            each image's own by default. Pass one range for all windows of a scene.

    Returns:
        Embedding: image embedding and feature maps, on the model's device.

    Raises:
        InputError: no image, an empty image, a wrong number of channels, or values that
            are not finite.
    """
    if isinstance(pixels, Tensor) and pixels.ndim < 4:  # noqa: PLR2004 - B, C, H, W
        pixels = pixels[None]
    images = list(pixels)
    for image in images:
        _check(image, sam.spec)
    if not images:
        raise InputError("no image was given to encode: give at least one (C, H, W) tensor")
    sizes = tuple((image.shape[1], image.shape[2]) for image in images)
    frame = Frame(sizes, sam.spec.input_size, sam.spec.padding)
    inputs = [
        frame.pad(
            normalise(sam.spec, resize_image(image.float(), frame.resized(i)), value_range), i
        )
        for i, image in enumerate(images)
    ]
    main, levels = sam.image_encoder(torch.stack(inputs).to(_device(sam)))
    return Embedding(main, levels, frame)


def normalise(
    spec: SamSpec,
    pixels: Float[Tensor, "*b c h w"],
    value_range: tuple[float, float] | None = None,
) -> Float[Tensor, "*b c h w"]:
    """Scale and standardise the pixels of images as their weights expect.

    Args:
        spec: what the weights expect.
        pixels: one image, or several of one size, each scaled by itself.
        value_range: see `encode`.
    """
    if spec.scaling == "minmax":
        pixels = scaled(spec, pixels, value_range)
    mean = pixels.new_tensor(spec.pixel_mean)[:, None, None]
    std = pixels.new_tensor(spec.pixel_std)[:, None, None]
    return (pixels - mean) / std


def scaled(
    spec: SamSpec,
    pixels: Float[Tensor, "*b c h w"],
    value_range: tuple[float, float] | None = None,
) -> Float[Tensor, "*b c h w"]:
    """Return images from 0 (lowest) to 1 (highest), each by its own, as minmax scaling has it.

    Args:
        spec: what the weights expect.
        pixels: one image, or a batch.
        value_range: see `encode`.
    """
    if value_range is not None:
        low, high = value_range
        return (pixels - low) / max(high - low, _SMALLEST_RANGE)
    # No value leaves the tensors, so that a graph of operations can hold it.
    low, high = pixels.amin((-2, -1)), pixels.amax((-2, -1))  # (*b, c)
    joint = list(spec.range_channels or range(spec.input_channels))
    low[..., joint] = low[..., joint].amin(-1, keepdim=True)
    high[..., joint] = high[..., joint].amax(-1, keepdim=True)
    width = (high - low).clamp(min=_SMALLEST_RANGE)
    return (pixels - low[..., None, None]) / width[..., None, None]


def _check(image: Tensor, spec: SamSpec) -> None:
    if image.ndim != 3 or image.shape[0] != spec.input_channels:  # noqa: PLR2004 - C, H, W
        raise InputError(
            f"an image has shape {tuple(image.shape)}, but {spec.name!r} takes "
            f"({spec.input_channels}, H, W): select or repeat its channels first"
        )
    if image.numel() == 0:
        raise InputError(f"an image has shape {tuple(image.shape)}: it needs a pixel at least")
    if image.is_floating_point() and not image.isfinite().all():
        raise InputError(
            "an image has values that are not finite: fill nodata before encoding, "
            f"for example with the mean {spec.pixel_mean}"
        )


def _device(sam: SamLike) -> torch.device:
    return sam.prompt_encoder.get_dense_pe().device
