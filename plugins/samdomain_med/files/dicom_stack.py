"""Slices of a DICOM series in the order of their places, checked to be one volume."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from samdomain.errors import InputError
from samdomain_med.files.dicom_header import Slice

_SAME = 1e-3  # of direction cosines and relative spacings, which scanners write rounded
_SQUARE = 1e-2  # of products of directions, whose digits some scanners cut
_TOGETHER = 1e-3  # millimetres between slices that lie at one place
_MISSING = 1.5  # times the usual distance of neighbours
_UNEVEN = 0.05  # of a distance: what rounding of places explains


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one volume, each a step from the one before it.

    Attributes:
        slices: in the order of their places along the normal of their planes.
        affine: (4, 4) from (column, row, slice) to millimetres right, anterior and superior.
        spacing: millimetres between columns, rows and slices.
    """

    slices: tuple[Slice, ...] = field(repr=False)
    affine: Float64[np.ndarray, "4 4"]
    spacing: tuple[float, float, float]


def stack(slices: Sequence[Slice]) -> Stack:
    """Order two slices or more by their places, never by their names or numbers.

    The third column of the affine is the mean step from slice to slice, so that tilted gantries,
    whose slices do not lie straight above one another, keep their shear.

    Raises:
        InputError: places are not told, geometry differs, slices lie together, or one is missing.
    """
    places = [_place(one) for one in slices]
    _check_same(slices)
    orientation, (down, across) = places[0].orientation, places[0].spacing
    normal = np.cross(*orientation)
    order = np.argsort([normal @ place.position for place in places], kind="stable")
    ordered = [slices[index] for index in order]
    positions = np.stack([places[index].position for index in order])
    _check_steps(ordered, positions @ normal)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _check_straight(ordered, positions, step)
    affine = np.eye(4)
    affine[:3, 0] = orientation[0] * across
    affine[:3, 1] = orientation[1] * down
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    affine[:2] *= -1  # DICOM counts to the left and back of the patient, NIfTI the other way
    spacing = (float(across), float(down), float(np.linalg.norm(step)))
    return Stack(tuple(ordered), affine, spacing)


class _Place(NamedTuple):
    position: Float64[np.ndarray, "3"]
    orientation: Float64[np.ndarray, "2 3"]
    spacing: Float64[np.ndarray, "2"]


def _place(one: Slice) -> _Place:
    if one.position is None or one.orientation is None or one.spacing is None:
        raise InputError(
            f"{one.path} does not say where it lies, so its series is no volume: give it alone"
        )
    axes = one.orientation @ one.orientation.T
    told = np.isfinite([*one.position, *one.spacing]).all()
    if not (told and np.allclose(axes, np.eye(2), atol=_SQUARE) and one.spacing.min() > 0):
        raise InputError(
            f"{one.path} has a place that is none: directions at right angles, sizes over 0, are"
        )
    return _Place(one.position, one.orientation, one.spacing)


def _check_same(slices: Sequence[Slice]) -> None:
    first = slices[0]
    for one in slices:
        for what, of in _GEOMETRY.items():
            mine, other = np.asarray(of(one), float), np.asarray(of(first), float)
            if not np.allclose(mine, other, rtol=_SAME, atol=_SAME if what == "directions" else 0):
                raise InputError(
                    f"{one.path} and {first.path} are of one series and have different {what}: "
                    "give a folder of one volume"
                )


_GEOMETRY: dict[str, Callable[[Slice], Any]] = {
    "rows and columns": lambda one: one.size,
    "directions": lambda one: one.orientation,
    "pixel sizes": lambda one: one.spacing,
    "numbers of channels": lambda one: one.channels,
}


def _check_steps(slices: Sequence[Slice], places: Float64[np.ndarray, " n"]) -> None:
    steps = np.diff(places)
    usual = float(np.median(steps))
    pairs = [f"{below.path} and {above.path.name}" for below, above in pairwise(slices)]
    if steps.min() < _TOGETHER:
        raise InputError(
            f"{pairs[int(steps.argmin())]} lie at the same place, as times or echoes of one volume "
            "do: give a folder of one volume"
        )
    for between, step in zip(pairs, steps, strict=True):
        if step > _MISSING * usual:
            raise InputError(
                f"slices are missing between {between}: {step:.3g} mm apart, where others are "
                f"{usual:.3g} mm: give the whole series"
            )
        if abs(step - usual) > _UNEVEN * usual:
            raise InputError(
                f"{between} are {step:.3g} mm apart, where others are {usual:.3g} mm: a volume "
                "needs even distances: resample it first"
            )


def _check_straight(
    slices: Sequence[Slice],
    positions: Float64[np.ndarray, "n 3"],
    step: Float64[np.ndarray, "3"],
) -> None:
    expected = positions[0] + np.arange(len(slices))[:, None] * step
    apart = np.linalg.norm(positions - expected, axis=1)
    worst = int(apart.argmax())
    if apart[worst] > _UNEVEN * np.linalg.norm(step):
        raise InputError(
            f"{slices[worst].path} lies {apart[worst]:.3g} mm beside the line of its series: "
            "give a folder of one volume"
        )
