"""Find the object that each prompt asks for, in a window of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry import MultiPolygon

from samdomain import Prompts, decode, encode
from samdomain.sam import SamLike
from samdomain_geo.raster import Scene
from samdomain_geo.stretch import DISPLAY_RANGE, Stretch
from samdomain_geo.vector import outline
from samdomain_geo.windows import window_of

# Windows encoded together: more saves nothing on a CPU and costs memory.
_BATCH = 4

# A window is read at most this many times finer than the encoder sees it: the outline gains
# nothing from more, and memory stays bounded however large the object is.
_FINEST = 4


@dataclass(frozen=True)
class FoundObject:
    """What was found for one prompt.

    Attributes:
        outline: parts in pixels of the scene; None where the mask is empty.
        score: the decoder's own estimate of the mask's IoU, 0 to 1.
    """

    outline: MultiPolygon | None
    score: float


@dataclass(frozen=True, eq=False)
class _Chip:
    """A window as the encoder gets it.

    Attributes:
        pixels: (bands, rows, columns), stretched, nodata filled.
        valid: (rows, columns), false on nodata.
        to_scene: map from the chip's (column, row) to pixels of the scene.
        box: left, top, right, bottom of the object in pixels of the scene.
    """

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    to_scene: Affine
    box: NDArray[np.float64]

    def own_box(self) -> list[float]:
        left, top, right, bottom = self.box
        to_chip = ~self.to_scene
        return [*(to_chip @ (left, top)), *(to_chip @ (right, bottom))]


def find_objects(
    sam: SamLike, scene: Scene, stretch: Stretch, boxes: NDArray[np.float64]
) -> Iterator[FoundObject]:
    """Find one object for each box, in the order of the boxes.

    Each object is decoded in a window that holds it whole, so no object has a seam.

    Args:
        sam: model that understands boxes.
        scene: raster to look at.
        stretch: the scene's radiometric stretch.
        boxes: (N, 4) as left, top, right, bottom in pixels of the scene.
    """
    for first in range(0, len(boxes), _BATCH):
        batch = boxes[first : first + _BATCH]
        chips = [_read_chip(sam, scene, stretch, box) for box in batch]
        yield from _decode_chips(sam, chips)


def _read_chip(sam: SamLike, scene: Scene, stretch: Stretch, box: NDArray[np.float64]) -> _Chip:
    window = window_of(box.tolist(), scene.rows, scene.columns)
    shape = _shape(window, _FINEST * sam.spec.input_size)
    raw, valid = scene.read(window, shape)
    fill = np.array(sam.spec.pixel_mean, np.float32)[:, None, None]
    to_scene = Affine.translation(window.col_off, window.row_off) @ Affine.scale(
        window.width / shape[1], window.height / shape[0]
    )
    return _Chip(np.where(valid, stretch(raw), fill), valid, to_scene, box)


def _shape(window: Window, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(window.height, window.width))
    return max(1, round(window.height * scale)), max(1, round(window.width * scale))


def _decode_chips(sam: SamLike, chips: list[_Chip]) -> Iterator[FoundObject]:
    prompts = Prompts(
        boxes=torch.tensor([chip.own_box() for chip in chips], dtype=torch.float32),
        images=torch.arange(len(chips)),
    )
    with torch.no_grad():
        images = [torch.from_numpy(chip.pixels) for chip in chips]
        prediction = decode(sam, encode(sam, images, DISPLAY_RANGE), prompts)
        masks = [(prediction[i].logits[0, 0] > 0).cpu().numpy() for i in range(len(chips))]
    for chip, mask, iou in zip(chips, masks, prediction.iou[:, 0].tolist(), strict=True):
        found = outline(mask & chip.valid, chip.to_scene, shapely.box(*chip.box))
        yield FoundObject(found, min(max(iou, 0.0), 1.0))
