"""Say where an object of a volume is: in a box around all of it, or on one of its slices.

Corners count voxels from 0; far ends are exclusive, so that a box of one voxel is 1 wide.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samdomain.errors import PromptError

Rectangle = Int[Tensor, "2 2"]
"""Near and far corner of a part of a slice, as (row, column) in voxels."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Lay a prompt out over the slices of a volume.

    Attributes:
        start: slice that is asked first.
        slices: slices that the object can be in.
        bounds: part of each slice that the object can be in.
        box: where it is on the first slice.
        mask: what it is on the first slice (H, W), where that is known.
        insists: whether the object is in every slice of `slices`, so that none is left out.
    """

    start: int
    slices: range
    bounds: Rectangle
    box: Rectangle
    mask: Bool[Tensor, "h w"] | None = None
    insists: bool = False


class VolumePrompt(Protocol):
    """What `propagate` can start from."""

    def plan(self, shape: tuple[int, int, int], axis: int) -> Plan:
        """Lay the prompt out over the slices of a volume (X, Y, Z) along an axis.

        Raises:
            PromptError: the prompt lies outside the volume.
        """
        ...


@dataclass(frozen=True, eq=False)
class VolumeBox:
    """Enclose a whole object: nothing of it is outside, and it reaches from end to end.

    Attributes:
        corners: near and far corner as X, Y, Z in voxels.
    """

    corners: Int[Tensor, "2 3"]

    def plan(self, shape: tuple[int, int, int], axis: int) -> Plan:
        """Start in the middle; see `VolumePrompt`."""
        _check_corners(self.corners, shape)
        first, last = self.corners[:, axis].tolist()
        bounds = self.corners[:, [one for one in range(3) if one != axis]].cpu()
        slices = range(first, last)
        return Plan((first + last) // 2, slices, bounds, bounds, insists=True)


@dataclass(frozen=True, eq=False)
class SliceBox:
    """Enclose an object on one slice; where it is on the others is to be found.

    Attributes:
        index: the slice.
        corners: near and far corner on it as (row, column) in voxels.
    """

    index: int
    corners: Rectangle

    def plan(self, shape: tuple[int, int, int], axis: int) -> Plan:
        """Start on the slice; see `VolumePrompt`."""
        sides = _plane(shape, axis, self.index)
        _check_corners(self.corners, sides)
        whole = torch.tensor([(0, 0), sides])
        return Plan(self.index, range(shape[axis]), whole, self.corners.cpu())


@dataclass(frozen=True, eq=False)
class SliceMask:
    """Show an object on one slice as it is; the slice's answer is this mask.

    Attributes:
        index: the slice.
        mask: the object on it.
    """

    index: int
    mask: Bool[Tensor, "h w"]

    def plan(self, shape: tuple[int, int, int], axis: int) -> Plan:
        """Start on the slice; see `VolumePrompt`."""
        sides = _plane(shape, axis, self.index)
        mask = self.mask.cpu()
        if tuple(mask.shape) != sides or not mask.any():
            raise PromptError(
                f"the mask of slice {self.index} is {tuple(mask.shape)} with {int(mask.sum())} "
                f"voxels of the object: give one of {sides} that shows it"
            )
        whole = torch.tensor([(0, 0), sides])
        return Plan(self.index, range(shape[axis]), whole, rectangle(mask), mask)


def rectangle(mask: Bool[Tensor, "h w"]) -> Rectangle:
    """Return the tight box around a mask that is not empty."""
    found = mask.nonzero().cpu()
    return torch.stack([found.amin(dim=0), found.amax(dim=0) + 1])


def _plane(shape: tuple[int, int, int], axis: int, index: int) -> tuple[int, ...]:
    if index not in range(shape[axis]):
        raise PromptError(
            f"slice {index} of axis {axis} was prompted, but the volume {shape} has {shape[axis]} "
            "slices along it: count them from 0"
        )
    return shape[:axis] + shape[axis + 1 :]


def _check_corners(corners: Tensor, sides: tuple[int, ...]) -> None:
    near, far = corners.cpu()
    if not bool(((near >= 0) & (near < far) & (far <= torch.tensor(sides))).all()):
        raise PromptError(
            f"a box from {near.tolist()} to {far.tolist()} does not lie in {tuple(sides)} voxels: "
            "near corners count from 0, far corners are exclusive and above the near ones"
        )
