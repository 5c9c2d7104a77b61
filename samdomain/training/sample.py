"""What a source of training data gives: an image file with its masks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Num, Shaped
from torch import Tensor

from samdomain.sam import Prompts
from samdomain.training.looks import AsTheyAre, Looks
from samdomain.training.objects import Objects
from samdomain.training.pictures import read_image, read_values, size

Split = Literal["train", "val", "test"]

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}
"""What folders and lists of files call the splits."""


@runtime_checkable
class Image(Protocol):
    """Know where the pixels of an image are; printed, it says so."""

    def read(self) -> Num[Tensor, "*t c h w"]:
        """Read the pixels (C, H, W), or those of several dates (T, C, H, W).

        Raises:
            InputError: they cannot be read.
        """
        ...

    def digest(self) -> str | None:
        """Return what tells two images of other content apart; None where nothing can be read."""
        ...


@dataclass(frozen=True)
class ImageFile:
    """An image that is one file of an everyday format.

    Attributes:
        path: the file.
    """

    path: Path

    def read(self) -> Num[Tensor, "3 h w"]:
        """Read the file; see `read_image`."""
        return read_image(self.path)

    def digest(self) -> str | None:
        """Return the SHA-256 of the file."""
        return sha256(self.path.read_bytes()).hexdigest() if self.path.is_file() else None

    def __str__(self) -> str:
        return str(self.path)


@runtime_checkable
class Masks(Protocol):
    """Know where the masks of an image are."""

    def read(self) -> Shaped[Tensor, "... h w"]:
        """Read the masks of the image's objects (N, H, W), or the class of each pixel (H, W).

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

    def read(self) -> Shaped[Tensor, "... h w"]:
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
        image: where its pixels are.
        masks: where its masks are.
        weight: how often training draws it, beside samples of weight 1.
        value_range: lowest and highest value of a pixel, the same for all samples; None where
            each image has its own. It matters to models that scale by them.
        prompts: what somebody asked for in the image; None where nobody did.
    """

    name: str
    image: Image
    masks: Masks
    weight: float = 1.0
    value_range: tuple[float, float] | None = None
    prompts: Prompts | None = None


@dataclass(frozen=True)
class Found:
    """What a source found for a split.

    Attributes:
        samples: images with their masks, in the order of their names.
        problems: what does not fit together, one sentence each, as an image without a mask.
    """

    samples: tuple[Sample, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """At which scale a model sees things in training, and should see them later.

    Attributes:
        chip: side in pixels of images that were cut out of larger ones; None for whole images.
        pixel: ground size of a pixel in metres; None where it has none.
        values: lowest and highest value of a pixel; None where each image has its own.
    """

    chip: int | None = None
    pixel: float | None = None
    values: tuple[float, float] | None = None


class Source(ABC):
    """Find the samples of a split below a folder."""

    def scale(self, folder: Path) -> Scale:  # noqa: ARG002 - for sources of scenes
        """Return the scale of the samples below a folder; by default nothing is known."""
        return Scale()

    def augmentation(self) -> Looks:
        """Return the looks that training gives the images; by default they are as they are."""
        return AsTheyAre()

    @abstractmethod
    def find(self, folder: Path, split: Split) -> Found:
        """Find the samples of a split; none where the data have no such split.

        Args:
            folder: folder of the data.
            split: train, val or test.

        Raises:
            InputError: there are no such data in the folder.
        """


@dataclass(frozen=True, kw_only=True)
class FolderSource(Source):
    """Find samples in a folder of one's own, and show their images to training in other looks.

    Attributes:
        within: folder below the data's folder where all this is.
        looks: what training does to the images; by default they are as they are.
    """

    within: str = ""
    looks: Looks = field(default_factory=AsTheyAre)

    def augmentation(self) -> Looks:
        """Return the looks."""
        return self.looks


def first_folder(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first folder of the given names that exists."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)
