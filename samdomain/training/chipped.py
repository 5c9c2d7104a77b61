"""Cut large images into chips, so that a model sees them at the scale that they have."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Num, Shaped
from torch import Tensor

from samdomain.errors import InputError
from samdomain.training.looks import Looks
from samdomain.training.sample import Found, Image, Masks, Sample, Scale, Source, Split

EIGHT_BITS = (0.0, 255.0)


@dataclass(frozen=True)
class Chipped(Source):
    """Cut the images of another source into chips on a grid.

    A model scales what it sees to its input: a chip fixes how large things are in it, and a
    large image becomes many samples. Images smaller than a chip stay whole. The last chips of a
    row and of a column end where the image does.

    Attributes:
        source: where images and masks come from.
        size: side of a chip in pixels.
        overlap: pixels that neighbouring chips share at least.
        values: lowest and highest value of a pixel in the images: a range of its own each would
            make the same thing bright in one chip and dark in the next.

    Raises:
        InputError: chips have no size, or overlap wholly.
    """

    source: Source
    size: int = 512
    overlap: int = 0
    values: tuple[float, float] = EIGHT_BITS

    def __post_init__(self) -> None:
        """Refuse chips that cover nothing new."""
        if not 0 <= self.overlap < self.size:
            raise InputError(
                f"chips of {self.size} pixels cannot overlap by {self.overlap}: give 0 to "
                f"{self.size - 1}"
            )

    def scale(self, folder: Path) -> Scale:
        """Return the scale of the images, seen through chips."""
        scale = self.source.scale(folder)
        return replace(scale, chip=self.size, values=scale.values or self.values)

    def augmentation(self) -> Looks:
        """Return the looks of the images: each chip has its own."""
        return self.source.augmentation()

    def find(self, folder: Path, split: Split) -> Found:
        """Find the chips of a split; see `Source.find`."""
        found = self.source.find(folder, split)
        return replace(found, samples=tuple(c for one in found.samples for c in self._cut(one)))

    def _cut(self, sample: Sample) -> Iterator[Sample]:
        rows, columns = sample.masks.size()
        for top in self._starts(rows):
            for left in self._starts(columns):
                sides = min(self.size, rows), min(self.size, columns)
                place = Place(top, left, *sides, whole=(rows, columns))
                yield Sample(
                    f"{sample.name}@{top},{left}",
                    Chip(sample.image, place),
                    ChipMasks(sample.masks, place),
                    sample.weight,
                    sample.value_range or self.values,
                )

    def _starts(self, length: int) -> list[int]:
        last = max(0, length - self.size)
        return [*range(0, last, self.size - self.overlap), last]


@dataclass(frozen=True)
class Place:
    """Where a chip lies in its image, in pixels.

    Attributes:
        top: first row.
        left: first column.
        rows: number of rows.
        columns: number of columns.
        whole: (rows, columns) of the masks of the whole image; None where nobody told.
    """

    top: int
    left: int
    rows: int
    columns: int
    whole: tuple[int, int] | None = None

    def of(self, maps: Tensor) -> Tensor:
        """Return the part of maps (..., H, W) that lies in the chip."""
        bottom, right = self.top + self.rows, self.left + self.columns
        return maps[..., self.top : bottom, self.left : right].contiguous()


@dataclass(frozen=True)
class Chip:
    """A part of an image."""

    image: Image
    place: Place

    def read(self) -> Num[Tensor, "*t c h w"]:
        """Read the image and cut the chip out.

        Raises:
            InputError: the image cannot be read, or differs from its masks in size.
        """
        image = self.image.read()
        own, whole = tuple(image.shape[-2:]), self.place.whole
        # Chips of a larger image would show another place than those of its masks.
        if whole not in {None, own}:
            raise InputError(
                f"{self.image} has {own} pixels, its masks {whole}: samdomain fit --check lists "
                "all of these"
            )
        return self.place.of(image)

    def digest(self) -> str | None:
        """Return the image's digest and the place in it."""
        whole = self.image.digest()
        return None if whole is None else f"{whole}@{self.place.top},{self.place.left}"

    def __str__(self) -> str:
        return f"{self.image} at row {self.place.top}, column {self.place.left}"


@dataclass(frozen=True)
class ChipMasks:
    """The part of masks that lies in a chip."""

    masks: Masks
    place: Place

    def read(self) -> Shaped[Tensor, "... h w"]:
        """Read the masks and cut the chip out; objects outside are left out."""
        own = self.place.of(self.masks.read())
        if own.ndim == 2:  # noqa: PLR2004 - a map of classes
            return own
        return own[own.flatten(1).any(dim=1)]

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the chip."""
        return self.place.rows, self.place.columns
