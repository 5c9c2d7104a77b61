"""Bring an encoder's feature maps to the strides that a head wants."""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from samdomain.errors import InputError
from samdomain.sam.embedding import Embedding
from samdomain.sam.model import SamLike


def pyramid(embedding: Embedding, strides: Iterable[int]) -> dict[int, Float[Tensor, "b _ _ _"]]:
    """Resample the levels of an embedding to given strides.

    A level that has the stride is returned as it is; else the nearest finer level is averaged
    over the cells that a coarser cell covers, and where none is finer the nearest coarser one
    is upsampled bilinearly (`align_corners=False`). Channels are those of the level used, and
    gradients pass through. Levels are the encoder's own: ViT has one, at stride 16.

    Args:
        embedding: images as `encode` returned them.
        strides: input pixels for each cell of a wanted map, in any order.

    Returns:
        A map (B, C, S / stride, S / stride) for each stride in the order given, S the side of
        the encoder's input in pixels.

    Raises:
        InputError: a stride is not positive or does not divide the input's side, or the
            embedding carries no levels.

    Source: Li et al., Exploring Plain Vision Transformer Backbones for Object Detection (2022),
    section 3, resamples a ViT's last map likewise, there with learned layers.
    """
    return {stride: _map_at(embedding, stride) for stride in strides}


def level_strides(sam: SamLike) -> tuple[int, ...]:
    """Return the strides of the encoder's own maps that a model's decoder reads: SAM's, none."""
    return getattr(sam.mask_decoder, "level_strides", ())


def _map_at(embedding: Embedding, stride: int) -> Tensor:
    side = embedding.frame.input_size
    if stride < 1 or side % stride:
        raise InputError(
            f"pyramid was asked for stride {stride}, but the encoder's input is {side} pixels a "
            "side: give positive strides that divide it, as 4, 8, 16 or 32"
        )
    if not embedding.levels:
        raise InputError(
            "the embedding carries no levels to make a pyramid of: encode with a backbone that "
            "gives its feature maps"
        )
    size = (side // stride, side // stride)
    finer = max((s for s in embedding.levels if s <= stride), default=None)
    if finer is None:
        coarser = embedding.levels[min(embedding.levels)]
        return F.interpolate(coarser, size, mode="bilinear", align_corners=False)
    level = embedding.levels[finer]
    if stride == finer:
        return level
    if stride % finer == 0:  # adaptive pooling has no deterministic gradient on CUDA
        return F.avg_pool2d(level, stride // finer)
    return F.adaptive_avg_pool2d(level, size)
