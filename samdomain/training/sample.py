"""What a source of training data gives: an image file with its masks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from samdomain.training.objects import Objects
from samdomain.training.pictures import read_values, size

Split = Literal["train", "val", "test"]

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}
"""What folders and lists of files call the splits."""


@runtime_checkable
class Masks(Protocol):
    """Know where the masks of an image are."""

    def read(self) -> Bool[Tensor, "n h w"]:
        """Read the masks of the image's objects.

        Raises:
            InputError: they cannot be read.
        """
        ...

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the masks, without reading them."""
        ...


@dataclass(frozen=True)
class MaskFile:
    """Masks that stand in one file of the image's size.

    Attributes:
        path: the file.
        objects: how its values become objects.
    """

    path: Path
    objects: Objects

    def read(self) -> Bool[Tensor, "n h w"]:
        """Read the file and take it apart."""
        return self.objects(read_values(self.path))

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the file."""
        return size(self.path)


@dataclass(frozen=True)
class Sample:
    """An image with its masks, not read yet.

    Attributes:
        name: what the sample is called in tables and messages; no two of a split share it.
        image: file of the image.
        masks: where its masks are.
    """

    name: str
    image: Path
    masks: Masks


@dataclass(frozen=True)
class Found:
    """What a source found for a split.

    Attributes:
        samples: images with their masks, in the order of their names.
        problems: what does not fit together, one sentence each, as an image without a mask.
    """

    samples: tuple[Sample, ...]
    problems: tuple[str, ...] = ()


class Source(ABC):
    """Find the samples of a split below a folder."""

    @abstractmethod
    def find(self, folder: Path, split: Split) -> Found:
        """Find the samples of a split; none where the data have no such split.

        Args:
            folder: folder of the data.
            split: train, val or test.

        Raises:
            InputError: there are no such data in the folder.
        """


def first_folder(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first folder of the given names that exists."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)
