"""Hold what a training step works on: images and their true masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from samdomain.errors import InputError
from samdomain.masks import components
from samdomain.sam import Embedding, Prompts, SamLike, encode

_PLANE, _STACK = 2, 3  # dimensions of (H, W) and of (N, H, W)


@dataclass(frozen=True, eq=False)
class Batch:
    """Carry B images with their true masks, as the files have them.

    Images may differ in size. Where all objects are one mask, they are told apart by whether
    they hang together; numbers or planes tell objects apart that touch.

    Attributes:
        images: (B, C, H, W), or B images (C, H, W), in the values that the model's spec asks
            for: 0 to 255 for published weights. For recipes of change: several dates of each
            place, the earliest first, as (B, T, C, H, W) or B times (T, C, H, W).
        masks: true mask of each image, in its size: all objects together (H, W) as bool, each
            object's number (H, W) as int, 0 for none, or one plane an object (N, H, W) as
            bool, which may overlap; N may be 0. For recipes of classes: the class of each pixel
            (H, W), or a plane for each class that may overlap others.
        names: name of each image, for messages; its place in the batch by default.
        prompts: true prompts, where the data has them.
        value_range: lowest and highest value of the images' pixels, where the model scales by
            them; each image's own by default. See `samdomain.encode`.
        labelled: where somebody looked in each image (H, W), for recipes of classes; everywhere by
            default. A map of classes says so itself, by the value that its recipe ignores.

    Raises:
        InputError: images, masks and names disagree in number, or a mask in size or type.
    """

    images: Float[Tensor, "b *t c h w"] | Sequence[Float[Tensor, "*t c _ _"]]
    masks: Sequence[Shaped[Tensor, "... _ _"]]
    names: Sequence[str] = ()
    prompts: Prompts | None = None
    value_range: tuple[float, float] | None = None
    labelled: Sequence[Bool[Tensor, "_ _"]] = ()

    def __post_init__(self) -> None:
        """Refuse masks that do not fit their images."""
        if not self.names:
            object.__setattr__(self, "names", tuple(str(i) for i in range(len(self.images))))
        if not self.labelled:
            everywhere = [one.new_ones(one.shape[-2:], dtype=torch.bool) for one in self.masks]
            object.__setattr__(self, "labelled", everywhere)
        if not len(self.images) == len(self.masks) == len(self.names):
            raise InputError(
                f"a batch has {len(self.images)} images, {len(self.masks)} masks and "
                f"{len(self.names)} names: give one of each for every image"
            )
        for name, image, mask in zip(self.names, self.images, self.masks, strict=True):
            _check_mask(name, image, mask)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def to(self, device: torch.device | str) -> "Batch":
        """Move images and masks to a device."""
        parts = (self.images, self.masks, self.labelled)
        images, masks, labelled = ([one.to(device) for one in part] for part in parts)
        return replace(
            self,
            images=torch.stack(images) if isinstance(self.images, Tensor) else images,
            masks=masks,
            labelled=labelled,
        )

    def alone(self, place: int) -> "Batch":
        """Return one image as a batch of its own, with all that belongs to it."""
        prompts = self.prompts
        if prompts is not None:
            own = prompts[(prompts.image_indices() == place).nonzero()[:, 0]]
            prompts = replace(own, images=torch.zeros(len(own), dtype=torch.long))
        return Batch(
            [self.images[place]],
            [self.masks[place]],
            [self.names[place]],
            prompts,
            self.value_range,
            [self.labelled[place]],
        )

    def encoded(self, sam: SamLike) -> Embedding:
        """Encode the images, the dates of one place one after the other; see `samdomain.encode`."""
        dates = [date for one in self.images for date in one.reshape(-1, *one.shape[-3:])]
        return encode(sam, dates, self.value_range)

    def foregrounds(self) -> list[Bool[Tensor, "_ _"]]:
        """Return where any object is in each image; empty masks stay empty."""
        return [mask.any(dim=0) if mask.ndim == _STACK else mask != 0 for mask in self.masks]

    def objects(self) -> list[Bool[Tensor, "n _ _"]]:
        """Return the objects of each image, one plane each; none of them is empty."""
        return [_objects(mask) for mask in self.masks]


def _objects(mask: Tensor) -> Tensor:
    if mask.ndim == _STACK:
        return mask[mask.flatten(1).any(dim=1)]
    if mask.dtype == torch.bool:
        return components(mask)
    numbers = mask.unique()
    return mask == numbers[numbers != 0][:, None, None]


def _check_mask(name: str, image: Tensor, mask: Tensor) -> None:
    sorts = {_PLANE: "an (H, W) mask of bool or int", _STACK: "(N, H, W) planes of bool"}
    whole = mask.ndim == _PLANE and not (mask.is_floating_point() or mask.is_complex())
    if not whole and not (mask.ndim == _STACK and mask.dtype == torch.bool):
        raise InputError(
            f"the mask of {name!r} is {mask.dtype} {tuple(mask.shape)}: give "
            f"{' or '.join(sorts.values())}"
        )
    if mask.shape[-2:] != image.shape[-2:]:
        raise InputError(
            f"the mask of {name!r} has {tuple(mask.shape[-2:])} pixels, its image "
            f"{tuple(image.shape[-2:])}: give both in the same size"
        )
