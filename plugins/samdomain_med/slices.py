"""Look at a volume as the stack of images that a 2-D network sees, and ask about each of them.

Volumes are (X, Y, Z), or (C, X, Y, Z) with channels, in voxels as their file counts them; what a
voxel measures and where it lies stays with the caller. The slices along an axis have the other
two axes as rows and columns, in their order: along Z they are (X, Y).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor

from samdomain.errors import InputError

Volume = Num[Tensor, "x y z"] | Num[Tensor, "c x y z"]

Ask = Callable[[Float[Tensor, "b c h w"]], Float[Tensor, "b k h w"]]
"""Tell the probability of each class in images, as `Segmenter.probabilities` does."""

NEIGHBOURS = (-1, 0, 1)
"""Channels of 2.5-D: the slice before, the slice itself, the slice after."""

REPEATED = (0, 0, 0)
"""Channels of 2-D: the slice three times, as weights of grey pictures expect."""

_SPATIAL = 3  # axes of a volume without its channels


@dataclass(frozen=True)
class Slicing:
    """Say along which axis a volume is sliced, and what a slice shows of its neighbours.

    Attributes:
        axis: 0, 1 or 2 for X, Y, Z.
        offsets: distances in slices of the channels; beyond the ends stands the last slice. A
            volume with C channels gives C for each of them: (0,) takes its channels as they are.

    Raises:
        InputError: the axis is none of the three, or there are no offsets.
    """

    axis: int
    offsets: tuple[int, ...] = NEIGHBOURS

    def __post_init__(self) -> None:
        """Refuse what is no axis of a volume."""
        if self.axis not in range(_SPATIAL) or not self.offsets:
            raise InputError(
                f"slices along axis {self.axis} with offsets {self.offsets} were asked for: "
                "allowed are the axes 0, 1 and 2 and one offset or more, as (-1, 0, 1)"
            )

    def stack(self, volume: Volume) -> Num[Tensor, "s c h w"]:
        """Return the slices of a volume, one channel each where it has none: a view of it.

        Raises:
            InputError: the volume has other axes, or no voxel.
        """
        if volume.ndim not in (_SPATIAL, _SPATIAL + 1) or not volume.numel():
            raise InputError(
                f"a volume has shape {tuple(volume.shape)}: allowed are (X, Y, Z) and "
                "(C, X, Y, Z) with a voxel at least; give the times of a series one by one"
            )
        plain = volume.as_subclass(Tensor)
        channels = plain[None] if plain.ndim == _SPATIAL else plain
        return channels.movedim(1 + self.axis, 0)

    def images(
        self, slices: Num[Tensor, "s c h w"], indices: Sequence[int]
    ) -> Float[Tensor, "b d h w"]:
        """Return the images of some of the slices, with their neighbours as channels.

        Args:
            slices: what `stack` returned, or a window of it.
            indices: which of them.
        """
        rows = torch.tensor(indices)[:, None] + torch.tensor(self.offsets)
        rows = rows.clamp(0, len(slices) - 1).to(slices.device)
        return slices[rows].flatten(1, 2).float()

    def unstack(self, planes: Float[Tensor, "s *k h w"]) -> Float[Tensor, "*k x y z"]:
        """Return slices, with or without planes of classes, as a volume again."""
        return planes.movedim(0, planes.ndim - _SPATIAL + self.axis)


@torch.no_grad()
def segment_slices(
    ask: Ask, volume: Volume, slicing: Slicing, batch: int = 8
) -> Float[Tensor, "k x y z"]:
    """Return the probability of each class in a volume, slice by slice and without prompts.

    Args:
        ask: what answers images, as `Segmenter.probabilities`; it may itself be a sliding window
            over one.
        volume: voxels 0 to 255, stretched once for all of it; see `samdomain_med.intensities`.
        slicing: how it is sliced; give the offsets that the network was trained with.
        batch: slices asked about at once; it changes memory and speed alone.

    Raises:
        InputError: the volume is none, or has another number of channels than the network.
    """
    slices = slicing.stack(volume)
    answers = [
        ask(slicing.images(slices, some)).to(slices.device)
        for some in in_batches(range(len(slices)), batch)
    ]
    return slicing.unstack(torch.cat(answers))


def in_batches(indices: Sequence[int], batch: int) -> Iterator[Sequence[int]]:
    """Yield some indices at a time, in their order.

    Raises:
        InputError: the batch is below 1.
    """
    if batch < 1:
        raise InputError(f"a batch of {batch} slices was asked for: give 1 or more")
    for first in range(0, len(indices), batch):
        yield indices[first : first + batch]
