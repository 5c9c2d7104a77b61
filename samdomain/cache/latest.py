"""Keep what an encoder made of the last images, for one who asks twice."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.sam import SamLike
from samdomain.sam.model import ImageEncoder, SamView


class LatestSam(SamView):
    """A view of a SAM that does not encode the same images twice in a row.

    It is for a model that stands still: weights that change meanwhile are not seen.

    Args:
        sam: model or view to look at.
    """

    def __init__(self, sam: SamLike) -> None:
        self.sam = sam
        self.spec = sam.spec
        self.image_encoder = _Latest(sam.image_encoder)
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder


class _Latest:
    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self._pixels: Tensor | None = None
        self._made: tuple[Tensor, Mapping[int, Tensor]] | None = None

    def __call__(
        self, pixels: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b d h w"], Mapping[int, Float[Tensor, "b _ _ _"]]]:
        if self._made is None or self._pixels is None or not _same(pixels, self._pixels):
            self._pixels, self._made = pixels, self._encoder(pixels)
        return self._made


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)
