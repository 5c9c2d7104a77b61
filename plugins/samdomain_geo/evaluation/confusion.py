"""Count which class of the truth a map takes for which."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from samdomain.errors import InputError

# More are ids of objects, of which no table can be read.
_MOST_CLASSES = 1000

# Classes within this span are counted in a table, which is faster than sorting them.
_SPAN = 1024

Labels = NDArray[np.int64]


@dataclass
class Tally:
    """Add up pairs of classes, block by block.

    Attributes:
        pairs: pixels of each pair (true class, predicted class).
    """

    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, true: Labels, predicted: Labels) -> None:
        """Count pixels (N,) of the truth and of the map.

        Raises:
            InputError: there are too many classes to be classes.
        """
        if not len(true):
            return
        for one, other, pixels in _pairs(true, predicted):
            self.pairs[one, other] += pixels
        if (count := len({label for pair in self.pairs for label in pair})) > _MOST_CLASSES:
            raise InputError(
                f"there are {count} classes and more: these are ids of objects, so turn both "
                "rasters into polygons with samdomain polygonize --dissolve, and evaluate those"
            )

    def matrix(self, others: Iterable[int] = ()) -> "ConfusionMatrix":
        """Return what was counted, of the classes that either side has.

        Args:
            others: further classes, as those of the map of which no pixel was compared.
        """
        classes = sorted({label for pair in self.pairs for label in pair}.union(others))
        place = {label: index for index, label in enumerate(classes)}
        pixels = np.zeros((len(classes), len(classes)), np.int64)
        for (true, predicted), count in self.pairs.items():
            pixels[place[true], place[predicted]] = count
        return ConfusionMatrix(tuple(classes), pixels)


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Pixels by true class (rows) and predicted class (columns).

    Figures of a class that cannot be told, as the recall of one that the truth lacks, are NaN.

    Attributes:
        classes: values of the classes, ascending.
        pixels: (true, predicted) counts.
    """

    classes: tuple[int, ...]
    pixels: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Number of pixels."""
        return int(self.pixels.sum())

    @property
    def true(self) -> NDArray[np.int64]:
        """Pixels of each class in the truth."""
        return self.pixels.sum(axis=1)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Pixels of each class in the map."""
        return self.pixels.sum(axis=0)

    @property
    def hits(self) -> NDArray[np.int64]:
        """Pixels of each class on which both agree."""
        return self.pixels.diagonal()

    @property
    def overall_accuracy(self) -> float:
        """Share of pixels on which both agree."""
        return float(ratio(self.hits.sum(), self.pixels.sum()))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of each predicted class that is true: user's accuracy."""
        return ratio(self.hits, self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of each true class that was found: producer's accuracy."""
        return ratio(self.hits, self.true)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class (Jaccard); 0 where only one side has it."""
        return ratio(self.hits, self.true + self.predicted - self.hits)

    @property
    def f1(self) -> NDArray[np.float64]:
        """Harmonic mean of precision and recall (Dice); 0 where only one side has the class."""
        return ratio(2 * self.hits, self.true + self.predicted)

    def by_truth(self) -> NDArray[np.float64]:
        """Return shares (true, predicted) of each true class; NaN where the truth lacks it."""
        return ratio(self.pixels, self.true[:, None])


def ratio(part: NDArray[np.integer], whole: NDArray[np.integer]) -> NDArray[np.float64]:
    """Divide counts; NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, np.true_divide(part, whole), np.nan)


def count_values(labels: Labels) -> dict[int, int]:
    """Return how many pixels (N,) each class has."""
    if not len(labels):
        return {}
    low, span = _range(labels)
    if span <= _SPAN**2:
        counts = np.bincount(labels - low)
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(labels, return_counts=True)
        low = 0
    return dict(zip((values + low).tolist(), counts.tolist(), strict=True))


def _pairs(true: Labels, predicted: Labels) -> list[tuple[int, int, int]]:
    (low, span), (bottom, width) = _range(true), _range(predicted)
    if max(span, width) > _SPAN:
        both, counts = np.unique(np.stack([true, predicted]), axis=1, return_counts=True)
        return list(zip(*both.tolist(), counts.tolist(), strict=True))
    codes = (true - low) * width + (predicted - bottom)
    found = count_values(codes)
    return [(code // width + low, code % width + bottom, found[code]) for code in found]


def _range(labels: Labels) -> tuple[int, int]:
    low, high = int(labels.min()), int(labels.max())
    return low, high - low + 1
