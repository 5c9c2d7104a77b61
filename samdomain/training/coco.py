"""Objects from a COCO file: polygons, run lengths or boxes."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.path import Path as Outline
from torch import Tensor

from samdomain.errors import InputError
from samdomain.training.sample import SPLIT_NAMES, FolderSource, Found, ImageFile, Sample, Split

NAMES = ("{}.json", "instances_{}.json", "annotations/instances_{}.json", "{}/annotations.json")
"""Where the file of a split is looked for, below the folder of the data."""


@dataclass(frozen=True)
class Coco(FolderSource):
    """Read images and objects of a COCO file for each split.

    An object without a polygon or run lengths is its box, filled. Crowds are left out.

    Attributes:
        images: name of the folder of images.
        annotations: the file of each split below the folder of the data, as
            {"train": "instances_train.json"}; by default those of the usual names.
        categories: names of the categories to take; all by default.
        within, looks: see `FolderSource`.
    """

    images: str = "images"
    annotations: dict[str, str] | None = None
    categories: tuple[str, ...] = ()

    def find(self, folder: Path, split: Split) -> Found:
        """Find the images of a split; see `Source.find`."""
        folder = folder / self.within
        path = self._file(folder, split)
        if path is None:
            if split == "train":
                raise InputError(
                    f"{folder} has no COCO file for training: name it, as "
                    '--data.source.init_args.annotations \'{"train": "train.json"}\''
                )
            return Found(())
        content = _content(path)
        wanted = self._wanted(content, path)
        objects: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for one in content["annotations"]:
            if one["category_id"] in wanted and not one.get("iscrowd"):
                objects[one["image_id"]].append(one)
        samples: list[Sample] = []
        for image in sorted(content["images"], key=lambda one: one["file_name"]):
            masks = CocoMasks(tuple(objects[image["id"]]), (image["height"], image["width"]))
            name = Path(image["file_name"]).with_suffix("").as_posix()
            picture = folder / self.images / image["file_name"]
            samples.append(Sample(name, ImageFile(picture), masks))
        return Found(tuple(samples))

    def _file(self, folder: Path, split: Split) -> Path | None:
        if self.annotations is not None:
            return folder / self.annotations[split] if split in self.annotations else None
        candidates = [folder / name.format(alias) for alias in SPLIT_NAMES[split] for name in NAMES]
        return next((path for path in candidates if path.is_file()), None)

    def _wanted(self, content: Mapping[str, Any], path: Path) -> set[int]:
        names = {one["name"]: one["id"] for one in content.get("categories", ())}
        if unknown := set(self.categories) - set(names):
            raise InputError(
                f"{path} has no category {', '.join(sorted(unknown))}: it has {', '.join(names)}"
            )
        if not self.categories:
            return {one["category_id"] for one in content["annotations"]}
        return {names[name] for name in self.categories}


@dataclass(frozen=True, eq=False)
class CocoMasks:
    """The objects of one image in a COCO file.

    Attributes:
        objects: annotations, as the file has them.
        shape: (rows, columns) of the image.
    """

    objects: tuple[Mapping[str, Any], ...]
    shape: tuple[int, int]

    def read(self) -> Bool[Tensor, "n h w"]:
        """Draw the objects, one mask each; those that cover no pixel are left out."""
        masks = [_drawn(one, self.shape) for one in self.objects]
        found = [mask for mask in masks if mask.any()]
        return torch.as_tensor(np.array(found, dtype=bool).reshape(-1, *self.shape))

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) as the file states them."""
        return self.shape


def draw_polygon(flat: Sequence[float | int], shape: tuple[int, int]) -> np.ndarray:
    """Draw a polygon as the pixels whose centres are inside.

    Args:
        flat: x0, y0, x1, y1, ... in pixels, the origin at the top-left corner.
        shape: (rows, columns) of the mask.
    """
    mask = np.zeros(shape, dtype=bool)
    corners = np.asarray(flat, dtype=float).reshape(-1, 2)
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    rows, columns = np.mgrid[top : min(bottom, shape[0]), left : min(right, shape[1])]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    inside = Outline(corners, closed=False).contains_points(centres)
    mask[rows.ravel(), columns.ravel()] = inside
    return mask


def draw_runs(counts: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """Draw run lengths, which go down the columns and begin with what is outside.

    Raises:
        InputError: the runs are not as many pixels as the mask has.
    """
    if sum(counts) != shape[0] * shape[1]:
        raise InputError(f"run lengths cover {sum(counts)} pixels of a mask of {shape}")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(shape[::-1]).T


def unpack_runs(text: str) -> list[int]:
    """Read run lengths from the letters that COCO packs them into.

    Each letter holds five bits and whether another follows; from the fourth run on, the difference
    to the run before the last stands in place of the run.

    Source: the COCO API, maskApi.c.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift  # negative, in two's complement
        counts.append(value + counts[-2] if len(counts) > 2 else value)  # noqa: PLR2004 - see above
        value = shift = 0
    return counts


def _drawn(one: Mapping[str, Any], shape: tuple[int, int]) -> np.ndarray:
    shapes = one.get("segmentation")
    try:
        if not shapes:
            left, top, width, height = one["bbox"]
            right, bottom = left + width, top + height
            return draw_polygon([left, top, right, top, right, bottom, left, bottom], shape)
        if isinstance(shapes, Mapping):
            counts = shapes["counts"]
            runs = unpack_runs(counts) if isinstance(counts, str) else counts
            return draw_runs(runs, shape)
        return np.any([draw_polygon(part, shape) for part in shapes], axis=0)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"annotation {one.get('id')} is not as COCO has it: {error}") from error


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, Mapping) or not {"images", "annotations"} <= content.keys():
        raise InputError(f"{path} is no COCO file: it has no lists 'images' and 'annotations'")
    return content
