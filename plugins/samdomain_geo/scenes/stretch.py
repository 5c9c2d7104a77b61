"""One radiometric stretch for a whole scene, so that no window differs from its neighbour."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain_geo.scenes.raster import Scene

# The usual display stretch of GIS programs: 2% of the pixels saturate at either end.
_PERCENTILES = (2.0, 98.0)
_ALL = 100.0  # per cent

_GRAMMAR = "give percentiles as 2,98, or values as 100:3000, or none"

DISPLAY_RANGE = (0.0, 255.0)
"""Lowest and highest value after the stretch: those of the photographs SAM was trained on."""


@dataclass(frozen=True)
class Stretch:
    """Map the values of each band linearly to 0..255, clipped at both ends.

    Attributes:
        low: value of each band that becomes 0.
        high: value of each band that becomes 255.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def measure(cls, scene: Scene, percentiles: tuple[float, float] | None = None) -> Self:
        """Choose the stretch of a scene from a sample of its valid pixels.

        Args:
            scene: raster to sample.
            percentiles: shares of the pixels, 0 to 100, below which lie `low` and `high`. By
                default 2 and 98, and 8-bit bands are taken as they are: they are a photograph
                already.
        """
        bands = len(scene.bands)
        if percentiles is None and scene.dtype == "uint8":
            return cls.between([DISPLAY_RANGE], scene)
        values = scene.sample()  # (bands, pixels)
        if values.size == 0:
            return cls((0.0,) * bands, (1.0,) * bands)
        low, high = np.percentile(values, percentiles or _PERCENTILES, axis=1)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    @classmethod
    def between(cls, ranges: Sequence[tuple[float, float]], scene: Scene) -> Self:
        """Stretch the bands of a scene between values that are known.

        Args:
            ranges: low and high of each band, or one for all of them.
            scene: raster whose bands they are.

        Raises:
            InputError: their number is neither one nor that of the bands.
        """
        bands = len(scene.bands)
        if len(ranges) not in (1, bands):
            raise InputError(
                f"--stretch has {len(ranges)} ranges, but {bands} bands are read: give one range "
                "for all, or one each"
            )
        low, high = zip(*(ranges if len(ranges) == bands else [*ranges] * bands), strict=True)
        return cls(low, high)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stretch pixels (bands, rows, columns)."""
        low = np.array(self.low, np.float32)[:, None, None]
        high = np.array(self.high, np.float32)[:, None, None]
        # A constant band has no range: it becomes 0 everywhere instead of dividing by 0.
        scaled = (pixels - low) / np.where(high > low, high - low, np.inf)
        return np.clip(scaled, 0, 1) * np.float32(DISPLAY_RANGE[1])


StretchRule = Callable[[Scene], Stretch]
"""How the stretch of a scene is found, once for the whole of it."""


def parse_stretch(text: str | None) -> StretchRule:
    """Return the rule that a user asks for in words.

    Args:
        text: "2,98" for percentiles; "100:3000" for values, or one such range for each band,
            as "100:3000,90:2500,80:2000"; "none" where values are 0 to 255 already. None
            takes 8 bits as they are and other types by the percentiles 2 and 98.

    Raises:
        InputError: the words say nothing of this.
    """
    if text is None:
        return Stretch.measure
    if text.lower() == "none":
        return partial(Stretch.between, [DISPLAY_RANGE])
    if ":" in text:
        ranges = [_ascending(part.split(":"), text) for part in text.split(",")]
        return partial(Stretch.between, ranges)
    low, high = _ascending(text.split(","), text)
    if low < 0 or high > _ALL:
        raise InputError(f"--stretch {text!r} gives percentiles outside 0 to 100: {_GRAMMAR}")
    return partial(Stretch.measure, percentiles=(low, high))


def _ascending(words: list[str], text: str) -> tuple[float, float]:
    try:
        low, high = (float(word) for word in words)
    except ValueError as error:
        raise InputError(f"--stretch {text!r} is not understood: {_GRAMMAR}") from error
    if not (low < high and math.isfinite(high - low)):
        raise InputError(f"--stretch {text!r} does not go from low to high: {_GRAMMAR}")
    return low, high
