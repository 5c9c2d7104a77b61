"""One radiometric stretch for a whole scene, so that no window differs from its neighbour."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from samdomain_geo.raster import Scene

# The usual display stretch of GIS programs: 2% of the pixels saturate at either end.
_PERCENTILES = (2.0, 98.0)

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
    def measure(cls, scene: Scene) -> Self:
        """Choose the stretch of a scene from a sample of its valid pixels.

        8-bit bands are taken as they are: they are a photograph already.
        """
        bands = len(scene.bands)
        if scene.dtype == "uint8":
            return cls((DISPLAY_RANGE[0],) * bands, (DISPLAY_RANGE[1],) * bands)
        values = scene.sample()  # (bands, pixels)
        if values.size == 0:
            return cls((0.0,) * bands, (1.0,) * bands)
        low, high = np.percentile(values, _PERCENTILES, axis=1)
        return cls(tuple(low.tolist()), tuple(high.tolist()))

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stretch pixels (bands, rows, columns)."""
        low = np.array(self.low, np.float32)[:, None, None]
        high = np.array(self.high, np.float32)[:, None, None]
        # A constant band has no range: it becomes 0 everywhere instead of dividing by 0.
        scaled = (pixels - low) / np.where(high > low, high - low, np.inf)
        return np.clip(scaled, 0, 1) * np.float32(DISPLAY_RANGE[1])
