"""Find the object that each prompt asks for, in windows that neighbours share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from torch import Tensor

from samdomain import Prediction, Prompts, encode
from samdomain.recipes.answering import ask
from samdomain.sam import SamLike, SamSpec
from samdomain_geo.polygons.vector import outline
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.raster import Scene
from samdomain_geo.scenes.stretch import DISPLAY_RANGE, Stretch
from samdomain_geo.scenes.windows import SharedWindow

# Windows encoded together: more saves nothing on a CPU and costs memory.
_BATCH = 4

# Prompts decoded together: more saves nothing, and each takes 28 MB at 256 x 256 logits.
_DECODED = 4

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
class Chip:
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

    def place(self, points: NDArray[np.float64]) -> Tensor:
        """Return points (..., 2) of the scene in pixels of the chip."""
        x, y = ~self.to_scene @ (points[..., 0], points[..., 1])
        return torch.from_numpy(np.stack([x, y], axis=-1)).float()


def read_chip(spec: SamSpec, scene: Scene, stretch: Stretch, shared: SharedWindow) -> Chip:
    """Read a window of a scene for a model.

    Args:
        spec: the model's; nodata becomes its mean.
        scene: raster to look at.
        stretch: the scene's radiometric stretch.
        shared: where to look for which objects; see `share_windows`.
    """
    window = shared.window
    shape = _shape(window, _FINEST * spec.input_size)
    raw, valid = scene.read(window, shape)
    fill = np.array(spec.pixel_mean, np.float32)[:, None, None]
    to_scene = Affine.translation(window.col_off, window.row_off) @ Affine.scale(
        window.width / shape[1], window.height / shape[0]
    )
    return Chip(np.where(valid, stretch(raw), fill), valid, to_scene, shared.members)


def find_objects(
    sam: SamLike, chips: Sequence[Chip], prompts: ObjectPrompts
) -> Iterator[tuple[int, FoundObject]]:
    """Find the objects that are looked for in chips; they come in the order of the chips.

    Each object is decoded in a chip that holds it whole, so no object has a seam. Chips of
    nothing but nodata hold no object and are not encoded.

    Args:
        sam: model that understands the prompts.
        chips: windows of a scene, whose members are objects of the prompts.
        prompts: N objects in the scene.

    Returns:
        Iterator: index of the object, and what was found for it.
    """
    for chip in chips:
        if not chip.valid.any():
            yield from ((index, _NOTHING) for index in chip.members.tolist())
    seen = [chip for chip in chips if chip.valid.any()]
    for first in range(0, len(seen), _BATCH):
        yield from _decode_chips(sam, seen[first : first + _BATCH], prompts)


def _shape(window: Window, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(window.height, window.width))
    return max(1, round(window.height * scale)), max(1, round(window.width * scale))


def _decode_chips(
    sam: SamLike, chips: list[Chip], prompts: ObjectPrompts
) -> Iterator[tuple[int, FoundObject]]:
    members = np.concatenate([chip.members for chip in chips])
    owners = np.repeat(np.arange(len(chips)), [len(chip.members) for chip in chips])
    with torch.no_grad():
        images = [torch.from_numpy(chip.pixels) for chip in chips]
        embedding = encode(sam, images, DISPLAY_RANGE)
    for alike in prompts.alike(members):
        for first in range(0, len(alike), _DECODED):
            chosen = alike[first : first + _DECODED]
            asked = _placed(prompts, members[chosen], chips, owners[chosen])
            with torch.no_grad():
                prediction = ask(sam, embedding, asked)
            for row, position in enumerate(chosen.tolist()):
                chip, index = chips[owners[position]], int(members[position])
                yield index, _trace(prediction[row], chip, prompts.area(index))


def _placed(
    prompts: ObjectPrompts,
    objects: NDArray[np.intp],
    chips: list[Chip],
    owners: NDArray[np.intp],
) -> Prompts:
    """Return the prompts of objects that have the same kinds, each in pixels of its chip."""
    pairs = [(index, chips[owner]) for index, owner in zip(objects, owners, strict=True)]
    boxes = points = labels = None
    if prompts.boxed[objects[0]]:
        corners = [chip.place(prompts.boxes[index].reshape(2, 2)) for index, chip in pairs]
        boxes = torch.stack(corners).reshape(-1, 4)
    if prompts.clicked[objects[0]]:
        points = [chip.place(prompts.clicks.of(index).places) for index, chip in pairs]
        labels = [torch.from_numpy(prompts.clicks.of(index).labels) for index, _ in pairs]
    return Prompts(boxes, points, labels, images=torch.from_numpy(owners))


def _trace(one: Prediction, chip: Chip, area: BaseGeometry) -> FoundObject:
    mask = (one.logits[0, 0] > 0).cpu().numpy()
    found = outline(mask & chip.valid, chip.to_scene, area)
    return FoundObject(found, float(one.iou[0, 0].clamp(0, 1)))
