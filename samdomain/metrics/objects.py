"""Count which objects were found."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from samdomain.errors import InputError
from samdomain.metrics.overlap import check_masks


@dataclass(frozen=True)
class ObjectScores:
    """Count found, invented and missed objects; the scores of images add up by `+`.

    Attributes:
        found: true objects that a predicted one matches.
        invented: predicted objects that match no true one.
        missed: true objects that no predicted one matches.
        ious: IoU of each match.
    """

    found: int = 0
    invented: int = 0
    missed: int = 0
    ious: tuple[float, ...] = ()

    def __add__(self, other: "ObjectScores") -> "ObjectScores":
        """Return the counts of both together."""
        return ObjectScores(
            self.found + other.found,
            self.invented + other.invented,
            self.missed + other.missed,
            self.ious + other.ious,
        )

    @property
    def precision(self) -> float:
        """Share of predicted objects that are true; 1 where none was predicted."""
        return _share(self.found, self.found + self.invented)

    @property
    def recall(self) -> float:
        """Share of true objects that were found; 1 where there is none."""
        return _share(self.found, self.found + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there is no object at all."""
        return _share(2 * self.found, 2 * self.found + self.invented + self.missed)


def match_objects(
    predicted: Bool[Tensor, "p h w"], true: Bool[Tensor, "t h w"], threshold: float = 0.5
) -> ObjectScores:
    """Match the predicted objects of an image with the true ones, one to one.

    Two objects can match where their IoU reaches the threshold. As many as possible are
    matched, and of these choices the one with the highest IoU in total is taken. An object
    without a pixel matches nothing.

    Args:
        predicted: predicted objects, which may overlap.
        true: true objects.
        threshold: smallest IoU of a match, above 0; equal is enough.

    Raises:
        InputError: a mask is not bool, or the threshold is not above 0.
    """
    check_masks(predicted, true)
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}: give an IoU above 0, at most 1")
    ious = _pairwise_iou(predicted, true).numpy()
    rows, columns = best_pairs(ious, threshold)
    found = len(rows)
    matched = tuple(ious[rows, columns].tolist())
    return ObjectScores(found, len(predicted) - found, len(true) - found, matched)


def best_pairs(
    ious: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair predicted with true objects, one to one.

    As many pairs as possible are made, and of these choices the one with the highest IoU in
    total is taken (Hungarian method).

    Args:
        ious: IoU of each predicted with each true object (p, t).
        threshold: smallest IoU of a pair; equal is enough.

    Returns:
        tuple: index of the predicted and of the true object of each pair.
    """
    allowed = ious >= threshold
    # One more match outweighs any sum of IoUs.
    worth = np.where(allowed, ious + min(ious.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]


def _pairwise_iou(predicted: Tensor, true: Tensor) -> Tensor:
    first, second = (masks.flatten(1).double().cpu() for masks in (predicted, true))
    both = first @ second.T  # (p, t)
    either = first.sum(dim=1)[:, None] + second.sum(dim=1)[None] - both
    return both / either.clamp_min(1)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
