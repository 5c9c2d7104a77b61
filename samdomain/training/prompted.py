"""Images without masks, and what somebody asked for in them."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from samdomain.errors import InputError
from samdomain.sam import Prompts
from samdomain.training.folders import SPLITS
from samdomain.training.pictures import pictures, size
from samdomain.training.sample import Found, ImageFile, Sample, Source, Split
from samdomain.training.splits import chosen, read_splits

_BOX = ("left", "top", "right", "bottom")
_CLICK = ("x", "y")

Row = Mapping[str, str]


@dataclass(frozen=True)
class NoMasks:
    """The masks of an image that nobody drew any in: none.

    Attributes:
        path: the image.
    """

    path: Path

    def read(self) -> Bool[Tensor, "0 h w"]:
        """Return no mask, in the image's size."""
        return torch.zeros(0, *self.size(), dtype=torch.bool)

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the image."""
        return size(self.path)


@dataclass(frozen=True)
class Unlabelled(Source):
    """Read images of a folder that has no masks.

    All are for training, and validation is taken from them, unless a file `splits.csv` beside the
    folder says otherwise.

    Attributes:
        images: name of the folder of images.
        within: folder below the data's folder where all this is.
    """

    images: str = "images"
    within: str = ""

    def find(self, folder: Path, split: Split) -> Found:
        """Find the images of a split; see `Source.find`."""
        root = folder / self.within / self.images
        if not root.is_dir():
            raise InputError(f"{root} is no folder: give that of the data, as --data.folder")
        paths, listing = pictures(root), folder / self.within / SPLITS
        if listing.is_file():
            splits = read_splits(listing)
            paths = [path for path in paths if chosen(path, root, splits, split)]
        elif split != "train":
            paths = []
        samples = [
            Sample(
                path.relative_to(root).with_suffix("").as_posix(), ImageFile(path), NoMasks(path)
            )
            for path in paths
        ]
        return Found(tuple(samples))


@dataclass(frozen=True)
class Prompted(Source):
    """Add what somebody asked for, from a table, to images; those without a row are left out.

    The table is a CSV file with a column `image`, the path of an image below its folder without
    the ending, and either a box a row (`left`, `top`, `right`, `bottom`) or a click a row (`x`,
    `y`, `label`: 1 on the object, 0 beside it; 1 by default). All are in pixels from the image's
    top-left corner. Clicks with the same `object_id` ask for one object together; without that
    column each click is an object of its own.

    Attributes:
        source: where the images are; without masks by default. Known masks are for figures alone.
        table: the file, below the folder of the data.
    """

    source: Source = field(default_factory=Unlabelled)
    table: str = "prompts.csv"

    def find(self, folder: Path, split: Split) -> Found:
        """Find the images of a split that have prompts; see `Source.find`."""
        found = self.source.find(folder, split)
        prompts = read_prompts(folder / self.table)
        samples = [
            replace(one, prompts=prompts[one.name]) for one in found.samples if one.name in prompts
        ]
        return Found(tuple(samples), found.problems)


def read_prompts(path: Path) -> dict[str, Prompts]:
    """Read boxes or clicks by the image that they are in; see `Prompted`.

    Raises:
        InputError: the file is not there, lacks a column, or has a value that is no number.
    """
    rows = _rows(path)
    columns = set(rows[0]) if rows else set[str]()
    if "image" not in columns or not ({*_BOX} <= columns or {*_CLICK} <= columns):
        raise InputError(
            f"{path} has columns {sorted(columns)}: it needs image, and left, top, right, bottom "
            "of boxes, or x, y of clicks"
        )
    by_image: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_image[row["image"]].append(row)
    read = _boxes if {*_BOX} <= columns else _clicks
    try:
        return {image: read(own) for image, own in by_image.items()}
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: name the table, as prompts.csv") from error


def _boxes(rows: Sequence[Row]) -> Prompts:
    return Prompts(boxes=torch.tensor([[float(row[side]) for side in _BOX] for row in rows]))


def _clicks(rows: Sequence[Row]) -> Prompts:
    objects: defaultdict[str, list[Row]] = defaultdict(list)
    for number, row in enumerate(rows):
        objects[row.get("object_id") or f"row {number}"].append(row)
    return Prompts(
        points=[
            torch.tensor([[float(row[c]) for c in _CLICK] for row in o]) for o in objects.values()
        ],
        labels=[torch.tensor([int(row.get("label") or 1) for row in o]) for o in objects.values()],
    )
