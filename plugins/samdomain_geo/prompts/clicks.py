"""Hold the clicks that point at objects of a scene."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LABEL = "label"
"""Column that says whether a click is on its object (1, true, or nothing) or beside it."""

OBJECT = "object_id"
"""Column whose equal values make several clicks, or a box and clicks, ask for one object."""

ON, BESIDE = 1, 0


@dataclass(frozen=True, eq=False)
class Clicks:
    """C clicks on and beside objects, in pixels of a scene.

    Attributes:
        places: (C, 2) as x, y.
        labels: (C,) 1 on the object, 0 beside it.
        objects: (C,) index of the object that each belongs to, ascending.
    """

    places: NDArray[np.float64]
    labels: NDArray[np.int64]
    objects: NDArray[np.intp]

    @classmethod
    def none(cls) -> "Clicks":
        """Return no clicks."""
        return cls(np.empty((0, 2)), np.empty(0, np.int64), np.empty(0, np.intp))

    def of(self, index: int) -> "Clicks":
        """Return the clicks of one object."""
        first, end = np.searchsorted(self.objects, [index, index + 1])
        return Clicks(self.places[first:end], self.labels[first:end], self.objects[first:end])

    def on(self) -> NDArray[np.float64]:
        """Return the places (K, 2) of those that are on an object."""
        return self.places[self.labels == ON]


def read_labels(column: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read the labels of clicks: 1 or true on the object, 0 or false beside it.

    Args:
        column: values as a file has them; a missing one is 1.

    Returns:
        tuple: labels (n,), and which values (n,) are no labels; those read as 1.
    """
    missing = column.isna().to_numpy()
    read = pd.Series(pd.to_numeric(column, errors="coerce"))
    numbers = read.to_numpy(float, na_value=np.nan)
    beside = numbers == BESIDE
    wrong = ~missing & ~beside & (numbers != ON)
    return np.where(beside, BESIDE, ON).astype(np.int64), wrong
