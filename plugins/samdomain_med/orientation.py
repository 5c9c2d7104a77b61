"""Where volumes lie in the patient, and how to turn them as networks see them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from jaxtyping import Float64, Num
from numpy import ndarray
from torch import Tensor

SAME_PLACE = 0.05
"""Corners of one grid lie at most so far apart, in voxels: rounding of headers moves them less."""

_AXES = 3


@dataclass(frozen=True)
class Orientation:
    """How the axes of a file lie in the patient, to the nearest of right, anterior, superior.

    Files store one patient in 48 ways; a network that learned from one of them takes another for
    another body. MONAI's `Orientationd` with the codes RAS turns volumes alike.

    Attributes:
        order: which axis of the file goes from left to right, from back to front, and from feet
            to head.
        flipped: whether it runs the other way there.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def of(cls, affine: Float64[ndarray, "4 4"] | None) -> "Orientation":
        """Return that of an affine; axes stay as they are where a volume's place is not known."""
        if affine is None:
            return cls()
        found = nib.orientations.io_orientation(affine)  # by axes of the file
        axes = sorted(range(_AXES), key=lambda axis: found[axis, 0])
        first, second, third = axes
        across, along, up = (bool(found[axis, 1] < 0) for axis in axes)
        return cls((first, second, third), (across, along, up))

    def turn(self, values: Num[Tensor, "*c i j k"]) -> Num[Tensor, "*c x y z"]:
        """Return values in the order of the patient's axes: a copy."""
        first = values.ndim - _AXES
        order = [*range(first), *(first + axis for axis in self.order)]
        return values.permute(order).flip(self._flips(first))

    def restore(self, values: Num[Tensor, "*c x y z"]) -> Num[Tensor, "*c i j k"]:
        """Return values in the order of the file's axes again: a copy."""
        first = values.ndim - _AXES
        order = [*range(first), *(first + self.order.index(axis) for axis in range(_AXES))]
        return values.flip(self._flips(first)).permute(order)

    def _flips(self, first: int) -> list[int]:
        return [first + axis for axis in range(_AXES) if self.flipped[axis]]


def corners_apart(
    one: Float64[ndarray, "4 4"], other: Float64[ndarray, "4 4"], shape: Sequence[int]
) -> float:
    """Return how far a volume's corners lie apart under two affines at most, in millimetres.

    Args:
        one: from voxels to millimetres.
        other: another one.
        shape: voxels along each axis.
    """
    corners = np.array([(*c, 1) for c in itertools.product(*((0, n - 1) for n in shape))]).T
    return float(np.linalg.norm(((one - other) @ corners)[:_AXES], axis=0).max())


def smallest_voxel(affine: Float64[ndarray, "4 4"]) -> float:
    """Return the shortest side of a voxel in millimetres."""
    return float(np.linalg.norm(affine[:_AXES, :_AXES], axis=0).min())
