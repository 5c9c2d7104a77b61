"""An adapter that names every pixel, as the network that looks at chips."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from samdomain import Segmenter, load_sam, load_segmenter
from samdomain.acceleration import Precision
from samdomain.adapter_file import AdapterCard, read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.sam import Sam
from samdomain_geo.classes.lazy_network import LazyNetwork
from samdomain_geo.data.scene_chip import FILL
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.stretch import DISPLAY_RANGE

# Scales between which the model is asked at the scene's own pixels: it has seen as much in
# training, where the same things differ in size.
_ALIKE = 1.25
_FAR = 2.0  # from here on a warning is due

SMALLEST = 32
"""Pixels of a chip's side: in fewer the model sees nothing but blur."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ClassNetwork:
    """Give the probabilities of classes in chips.

    Attributes:
        segmenter: model that is asked.
        side: side of a chip in pixels; smaller ones are filled up, so that the model sees
            everything at one scale.
    """

    segmenter: Segmenter
    side: int

    def __call__(self, chips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (B, classes, rows, columns) of chips (B, bands, rows, columns)."""
        rows, columns = chips.shape[2:]
        found = self.segmenter.probabilities(filled_up(chips, self.side))
        return found[..., :rows, :columns].numpy()


def filled_up(chips: NDArray[np.float32], side: int) -> Float[Tensor, "b c s s"]:
    """Fill chips (B, bands, rows, columns) up to squares, to the right and below."""
    rows, columns = chips.shape[2:]
    filled = np.full((*chips.shape[:2], side, side), FILL, np.float32)
    filled[..., :rows, :columns] = chips
    return torch.from_numpy(filled)


@dataclass(frozen=True)
class NetworkSource(LazyNetwork[ClassNetwork]):
    """Load an adapter as a network that infers fast.

    Attributes:
        adapter: folder of the adapter.
        weights: base, as `load_sam` knows it; None for the adapter's own.
        precision: see `samdomain.accelerate`.
        side: side of a chip in pixels.
    """

    adapter: str
    weights: str | None
    precision: Precision
    side: int

    def load(self) -> ClassNetwork:
        """Load the network."""
        segmenter, _ = load_segmenter(self.adapter, base_for(self.adapter, self.weights))
        segmenter.value_range = DISPLAY_RANGE  # one for all chips
        return ClassNetwork(segmenter.accelerated(self.precision), self.side)


def base_for(adapter: str, weights: str | None) -> Sam | None:
    """Return the weights that an adapter is put onto; None for its own."""
    if weights is None:
        return None
    return load_sam(weights, input_size=read_adapter(find_adapter(adapter)).spec.input_size)


def chips_for(card: AdapterCard, input_size: int, pixel: float | None) -> Chips:
    """Choose chips in which things have the size that they had in training.

    Args:
        card: the adapter's; without a side of images in training, the model's input is taken.
        input_size: side of the model's input in pixels.
        pixel: ground size of the scene's pixels in metres; None where it has none.

    Raises:
        InputError: the scene's pixels are so coarse that nothing would be left to see.
    """
    side = card.chip_size or input_size
    ratio = pixel / card.pixel_size if pixel and card.pixel_size else 1.0
    if not 1 / _ALIKE <= ratio <= _ALIKE:
        side = round(side / ratio)
    if max(ratio, 1 / ratio) >= _FAR:
        logger.warning(
            "the scene's pixels are %.3g m, the adapter was trained on %.3g m: it looks at chips "
            "of %d pixels, so that things have the size they had, but %s",
            pixel,
            card.pixel_size,
            side,
            "detail that it relied on may be missing" if ratio > 1 else "finer detail is not used",
        )
    if ratio > 1 and side < SMALLEST:
        raise InputError(
            f"the scene's pixels are {pixel:.3g} m, but the adapter was trained on "
            f"{card.pixel_size:.3g} m: what it looks for is too small here; take a finer scene"
        )
    return Chips(side, overlap=side // 4, margin=side // 16)
