"""Turn the voxels of a scan into the 0 to 255 of the pictures that SAM was trained on.

One mapping holds for the whole of a volume: measured slice by slice, a tissue would change its
grey from one slice to the next.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from samdomain.errors import InputError

PICTURE_RANGE = (0.0, 255.0)
"""Lowest and highest value of what `Intensities` return."""

Voxels = Num[Tensor, "*s"] | Num[np.ndarray[Any, Any], "*s"]


class Intensities(Protocol):
    """Map voxels of any shape to pixels 0 to 255 of the same shape."""

    def __call__(self, voxels: Voxels) -> Float[Tensor, "*s"]:
        """Return pixels 0 to 255 as float32; voxels that are not a number become 0."""
        ...


@dataclass(frozen=True)
class Percentiles:
    """Stretch between two percentiles of what is given, one pair for all of it.

    The usual choice for MR, whose values have no unit. Channels of different kinds, as T1 and
    T2, are to be given one at a time.

    Attributes:
        low: share of the voxels in per cent that becomes 0.
        high: share from which on voxels become 255.
        background: value that is left out of the measure, as the air around a body; None
            measures all. A volume of nothing else becomes 0.

    Raises:
        InputError: the percentiles do not go from low to high within 0 and 100.

    Source: Ma et al., Segment Anything in Medical Images (2024), methods, "Data curation and
    preprocessing": 0.5 and 99.5 of the voxels that are not 0.
    """

    low: float = 0.5
    high: float = 99.5
    background: float | None = 0.0

    def __post_init__(self) -> None:
        """Refuse percentiles out of order."""
        if not 0 <= self.low < self.high <= 100:  # noqa: PLR2004 - per cent
            raise InputError(
                f"percentiles {self.low:g} and {self.high:g} do not go from low to high: give "
                "two numbers within 0 and 100, as 0.5 and 99.5"
            )

    def __call__(self, voxels: Voxels) -> Float[Tensor, "*s"]:
        """Return pixels 0 to 255; a constant volume becomes 0."""
        values = _floats(voxels)
        measured = values[values.isfinite()]
        if self.background is not None:
            measured = measured[measured != self.background]
        if not measured.numel():
            return torch.zeros_like(values)
        # torch.quantile refuses more than 2**24 values, fewer than a CT has.
        low, high = np.percentile(measured.cpu().numpy(), (self.low, self.high))
        return _stretched(values, float(low), float(high))


@dataclass(frozen=True)
class Window:
    """Show a range of values that is known beforehand, as the Hounsfield units of CT.

    Attributes:
        centre: value that becomes the middle grey.
        width: distance between the values that become 0 and 255.

    Raises:
        InputError: the width is not above 0, or one of both is not finite.
    """

    centre: float
    width: float

    def __post_init__(self) -> None:
        """Refuse a window without a view."""
        if not (math.isfinite(self.centre) and 0 < self.width < math.inf):
            raise InputError(
                f"window {self.centre:g}, {self.width:g} shows nothing: give a centre and a width "
                f"above 0, or one of the named windows {', '.join(CT_WINDOWS)}"
            )

    def __call__(self, voxels: Voxels) -> Float[Tensor, "*s"]:
        """Return pixels 0 to 255."""
        half = self.width / 2
        return _stretched(_floats(voxels), self.centre - half, self.centre + half)


CT_WINDOWS = MappingProxyType(
    {
        "soft_tissue": Window(40.0, 400.0),
        "lung": Window(-600.0, 1500.0),
        "bone": Window(400.0, 1800.0),
        "brain": Window(40.0, 80.0),
        "liver": Window(30.0, 150.0),
    }
)
"""Windows of radiological practice in Hounsfield units, by name."""


def _floats(voxels: Voxels) -> Tensor:
    """Return voxels as plain float32, whose affine stays with the caller."""
    return torch.as_tensor(voxels).as_subclass(Tensor).to(torch.float32)


def _stretched(values: Tensor, low: float, high: float) -> Tensor:
    if not low < high:
        return torch.zeros_like(values)
    darkest, brightest = PICTURE_RANGE
    shares = ((values - low) / (high - low)).nan_to_num(0.0, posinf=1.0, neginf=0.0)
    return darkest + shares.clamp(0, 1) * (brightest - darkest)
