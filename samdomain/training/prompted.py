"""Images without masks, and what somebody asked for in them."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Bool
from torch import Tensor

from samdomain.errors import InputError
from samdomain.sam import Prompts
from samdomain.training.folders import SPLITS
from samdomain.training.pictures import SUFFIXES, pictures, size
from samdomain.training.sample import SPLIT_NAMES, Found, ImageFile, Sample, Source, Split
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

    The table is a CSV file with a column `image`, the path of an image below its folder, with or
    without the ending, and either a box a row (`left`, `top`, `right`, `bottom`) or a click a row
    (`x`, `y`, `label`: 1 on the object, 0 beside it; 1 by default). All are in pixels from the
    image's top-left corner. Clicks with the same `object_id` ask for one object together; without
    that column each click is an object of its own.

    Attributes:
        source: where the images are; without masks by default. Known masks are for figures alone.
        table: the file, below the folder of the data.
    """

    source: Source = field(default_factory=Unlabelled)
    table: str = "prompts.csv"

    def find(self, folder: Path, split: Split) -> Found:
        """Find the images of a split that have prompts; see `Source.find`."""
        found, table = self.source.find(folder, split), folder / self.table
        prompts = read_prompts(table)
        samples = [
            replace(one, prompts=_within(prompts[one.name], one, table))
            for one in found.samples
            if one.name in prompts
        ]
        return Found(tuple(samples), (*found.problems, *self._lost(folder, prompts)))

    def _lost(self, folder: Path, prompts: Mapping[str, Prompts]) -> list[str]:
        """Tell of rows whose image is in no split.

        Raises:
            InputError: that is so of all rows.
        """
        there = {
            one.name for split in SPLIT_NAMES for one in self.source.find(folder, split).samples
        }
        lost = sorted(prompts.keys() - there)
        if lost and len(lost) == len(prompts):
            raise InputError(
                f"{folder / self.table} asks for {', '.join(map(repr, lost[:3]))}, but there are "
                f"images {', '.join(map(repr, sorted(there)[:3]))}: name them by their path below "
                "the folder of images"
            )
        return [f"{folder / self.table} asks for {name!r}, which is no image" for name in lost]


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
        by_image[_name(row["image"])].append(row)
    read = _boxes if {*_BOX} <= columns else _clicks
    found: dict[str, Prompts] = {}
    for image, own in by_image.items():
        try:
            found[image] = read(own)
        except ValueError as error:
            raise InputError(f"{path} cannot be read, at image {image!r}: {error}") from error
    return found


def _rows(path: Path) -> list[Row]:
    try:
        # Spreadsheets write a byte order mark; a short row has empty values, as an empty cell has.
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file, restval=""))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: name the table, as prompts.csv") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8: save it as such") from error


def _name(image: str) -> str:
    """Return what the sample of an image is called; dots of other kinds belong to the name."""
    path = PurePosixPath(image.strip())
    return (path.with_suffix("") if path.suffix.lower() in SUFFIXES else path).as_posix()


def _within(prompts: Prompts, sample: Sample, table: Path) -> Prompts:
    """Return prompts of an image that each lie on it, at least in part.

    Raises:
        InputError: a box, or all clicks of an object, lie beside the image.
    """
    rows, columns = sample.masks.size()
    corners = _clicked(prompts) if prompts.boxes is None else list(prompts.boxes.reshape(-1, 2, 2))
    for xy in corners:
        (left, top), (right, bottom) = xy.amin(dim=0).tolist(), xy.amax(dim=0).tolist()
        if right < 0 or bottom < 0 or left > columns or top > rows:
            raise InputError(
                f"{table} asks in {sample.name!r} at {xy.tolist()}, beside its {columns} x {rows} "
                "pixels: give x, y in pixels from the image's top-left corner"
            )
    return prompts


def _clicked(prompts: Prompts) -> list[Tensor]:
    return list(prompts.points) if prompts.points is not None else []


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
