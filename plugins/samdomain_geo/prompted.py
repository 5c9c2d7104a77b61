"""Find the object that each prompt asks for, in windows that neighbours share."""

from collections.abc import Iterator, Sequence
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
from samdomain_geo.ahead import read_ahead
from samdomain_geo.raster import Scene
from samdomain_geo.stretch import DISPLAY_RANGE, Stretch
from samdomain_geo.vector import outline
from samdomain_geo.windows import SharedWindow

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


_NOTHING = FoundObject(None, 0.0)


@dataclass(frozen=True, eq=False)
class _Chip:
    """A window as the encoder gets it.

    Attributes:
        pixels: (bands, rows, columns), stretched, nodata filled.
        valid: (rows, columns), false on nodata.
        to_scene: map from the chip's (column, row) to pixels of the scene.
        members: (M,) indices of the objects to decode in it.
    """

    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    to_scene: Affine
    members: NDArray[np.intp]

    def place(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return boxes (M, 4) of the scene in pixels of the chip."""
        to_chip = ~self.to_scene
        left, top = to_chip @ (boxes[:, 0], boxes[:, 1])
        right, bottom = to_chip @ (boxes[:, 2], boxes[:, 3])
        return np.stack([left, top, right, bottom], axis=1)


def find_objects(
    sam: SamLike,
    scene: Scene,
    stretch: Stretch,
    boxes: NDArray[np.float64],
    windows: Sequence[SharedWindow],
) -> Iterator[tuple[int, FoundObject]]:
    """Find one object for each box; objects come in the order of their windows.

    Each object is decoded in a window that holds it whole, so no object has a seam.
    Windows are read ahead while the last ones are decoded; those of nothing but nodata hold
    no object and are not encoded.

    Args:
        sam: model that understands boxes.
        scene: raster to look at.
        stretch: the scene's radiometric stretch.
        boxes: (N, 4) as left, top, right, bottom in pixels of the scene.
        windows: where to look at which of the boxes; see `share_windows`.

    Returns:
        Iterator: index of the box, and what was found for it.
    """
    chips = read_ahead(_read_chip(sam, scene, stretch, window) for window in windows)
    batch: list[_Chip] = []
    for chip in chips:
        if not chip.valid.any():
            yield from ((index, _NOTHING) for index in chip.members.tolist())
            continue
        batch.append(chip)
        if len(batch) == _BATCH:
            yield from _decode_chips(sam, batch, boxes)
            batch = []
    if batch:
        yield from _decode_chips(sam, batch, boxes)


def _read_chip(sam: SamLike, scene: Scene, stretch: Stretch, shared: SharedWindow) -> _Chip:
    window = shared.window
    shape = _shape(window, _FINEST * sam.spec.input_size)
    raw, valid = scene.read(window, shape)
    fill = np.array(sam.spec.pixel_mean, np.float32)[:, None, None]
    to_scene = Affine.translation(window.col_off, window.row_off) @ Affine.scale(
        window.width / shape[1], window.height / shape[0]
    )
    return _Chip(np.where(valid, stretch(raw), fill), valid, to_scene, shared.members)


def _shape(window: Window, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(window.height, window.width))
    return max(1, round(window.height * scale)), max(1, round(window.width * scale))


def _decode_chips(
    sam: SamLike, chips: list[_Chip], boxes: NDArray[np.float64]
) -> Iterator[tuple[int, FoundObject]]:
    placed = np.concatenate([chip.place(boxes[chip.members]) for chip in chips])
    owners = np.repeat(np.arange(len(chips)), [len(chip.members) for chip in chips])
    prompts = Prompts(
        boxes=torch.from_numpy(placed).float(), images=torch.from_numpy(owners).long()
    )
    with torch.no_grad():
        images = [torch.from_numpy(chip.pixels) for chip in chips]
        prediction = decode(sam, encode(sam, images, DISPLAY_RANGE), prompts)
    members = np.concatenate([chip.members for chip in chips])
    for row, (index, owner) in enumerate(zip(members.tolist(), owners.tolist(), strict=True)):
        one = prediction[row]
        mask = (one.logits[0, 0] > 0).cpu().numpy()
        chip = chips[owner]
        found = outline(mask & chip.valid, chip.to_scene, shapely.box(*boxes[index]))
        yield index, FoundObject(found, float(one.iou[0, 0].clamp(0, 1)))
