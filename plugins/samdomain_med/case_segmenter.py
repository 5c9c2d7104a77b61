"""Find in a case what an adapter was trained to find, and say how sure it is."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from samdomain import Segmenter
from samdomain.errors import InputError
from samdomain.metrics import dice_score
from samdomain.recipes import Legend, SamSP
from samdomain_med.files.case import Case
from samdomain_med.intensities import PICTURE_RANGE, Intensities
from samdomain_med.orientation import Orientation
from samdomain_med.slices import Slicing, segment_slices

BACKGROUND = "background"

PICTURE = 2
"""Axes of a picture, beside its channels."""

# Below this Dice of the first and the last pass the two have found different things.
_AGREED = 0.8


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found in a case.

    Attributes:
        mask: on the case's grid: 0, or the number of a class from 1 on.
        score: mean probability of the answer over what was found; where nothing was, that of
            there being nothing at the place that looks most like something. 0 to 1, calibrated
            where the adapter is.
        uncertain: whether the passes of a self-prompted model disagree; None of others.
    """

    mask: Integer[np.ndarray, "*axes"]
    score: float
    uncertain: bool | None = None


@dataclass(frozen=True, eq=False)
class CaseSegmenter:
    """Ask a segmenter about pictures, and about volumes slice by slice.

    Attributes:
        segmenter: what is asked.
        names: names of the classes of its channels, background included where there is one.
        slicing: how volumes are sliced, once they are turned to right, anterior, superior.
        intensities: what makes pictures of values that are no eight bits.
    """

    segmenter: Segmenter
    names: tuple[str, ...]
    slicing: Slicing
    intensities: Intensities

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what masks number from 1 on."""
        return tuple(name for name in self.names if name != BACKGROUND)

    @property
    def channels(self) -> int:
        """Channels of the images that the model takes."""
        return self.segmenter.sam.spec.input_channels

    @torch.no_grad()
    def __call__(self, case: Case) -> Finding:
        """Return what is found in a case.

        Raises:
            InputError: it has other channels than the model takes.
        """
        if len(case.shape) == PICTURE:
            return self._picture(case)
        given = len(case.pixels) * len(self.slicing.offsets)
        if given != self.channels:
            raise InputError(
                f"{case.path} has {len(case.pixels)} channels, {given} with the neighbours of a "
                f"slice, the model takes {self.channels}"
            )
        lying = Orientation.of(case.affine)
        values = lying.turn(self.intensities(np.asarray(case.pixels)))
        shares = segment_slices(self.segmenter.probabilities, values, self.slicing)
        return self._found(lying.restore(shares))

    def _picture(self, case: Case) -> Finding:
        image = self._shown(case)[None]
        segmenter, recipe = self.segmenter, self.segmenter.recipe
        if not isinstance(recipe, SamSP):
            return self._found(segmenter.probabilities(image)[0])
        passes = recipe.passes(segmenter.sam, segmenter.encode(image))
        first, last = passes[0], passes[-1]
        shares = segmenter.legend.probabilities(last.logits / segmenter.temperature)
        agreed = dice_score(first.logits[0] > 0, last.logits[0] > 0).min()
        return replace(self._found(shares[0]), uncertain=bool(agreed < _AGREED))

    def _shown(self, case: Case) -> Float[Tensor, "c h w"]:
        """Return a picture as the model's channels, 0 to 255."""
        if len(case.pixels) not in {1, self.channels}:
            raise InputError(
                f"{case.path} has {len(case.pixels)} channels, the model takes {self.channels}, or "
                "grey"
            )
        values = np.asarray(case.pixels)
        shown = (
            torch.from_numpy(values.astype(np.float32))
            if values.dtype == np.uint8
            else self.intensities(values)
        )
        return shown.expand(self.channels, -1, -1).clamp(*PICTURE_RANGE)

    def _found(self, shares: Float[Tensor, "..."]) -> Finding:
        legend, planes = self.segmenter.legend, shares.cpu().numpy()
        mask = _numbered(legend, self.names, planes)
        there = mask > 0
        things = [i for i, name in enumerate(self.names) if name != BACKGROUND]
        likeliest = planes[things].max(axis=0)
        score = likeliest[there].mean() if there.any() else 1 - likeliest.max()
        return Finding(mask, float(score))


def _numbered(legend: Legend, names: tuple[str, ...], planes: np.ndarray) -> np.ndarray:
    """Return the number of the class of each pixel; of those that overlap the last one's."""
    numbers = np.cumsum([name != BACKGROUND for name in names])
    numbers[[name == BACKGROUND for name in names]] = 0
    if not legend.overlapping:
        return numbers[planes.argmax(axis=0)].astype(np.uint8)
    mask = np.zeros(planes.shape[1:], np.uint8)
    for number, plane in zip(numbers.tolist(), planes, strict=True):
        mask[plane > 0.5] = number  # noqa: PLR2004 - as likely as not
    return mask
