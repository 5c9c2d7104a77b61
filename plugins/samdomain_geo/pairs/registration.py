"""Estimate by how many pixels two dates lie apart, by phase correlation of their edges."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from samdomain_geo.pairs.pair import Pair, Seen

_SIDE = 256  # pixels of a window: some buildings and their streets
_SMALLEST = 32
_PLACES = 6  # windows each way
_FULL = 0.9  # share of a window that has data at both dates at least
_FINE = 20  # steps of a pixel
_AROUND = 1.0  # pixels beyond those in which a window agrees that are looked at finely

# The common peak stands out this many standard deviations at least: of unrelated windows of this
# side the highest of some 65,000 values is at about 4.5.
_CLEAR = 8.0
_LEAST = 3  # windows that agree, where there are as many
_AGREED = 2.0  # pixels from the common peak within which a window agrees

Complex = NDArray[np.complexfloating]
Stretched = Callable[[Seen], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Shift:
    """How far the later date lies off, in pixels of the grid.

    Attributes:
        columns: to the right; None where it cannot be told.
        rows: down.
        agreeing: windows that agree on it.
        windows: windows that were looked at.
        spread: median distance of those that agree from it, in pixels: what a translation
            cannot mend.
    """

    columns: float | None
    rows: float | None
    agreeing: int
    windows: int
    spread: float | None

    @property
    def known(self) -> bool:
        """Whether enough windows agree."""
        return self.columns is not None

    @property
    def vector(self) -> tuple[float, float]:
        """Columns and rows; 0 where they cannot be told."""
        return (self.columns or 0.0, self.rows or 0.0)

    @property
    def length(self) -> float:
        """Pixels that the dates lie apart; 0 where it cannot be told."""
        return float(np.hypot(*self.vector))

    def told(self) -> dict[str, Any]:
        """Return it as the record tells it."""
        return asdict(self)


def estimate_shift(pair: Pair, stretched: Stretched) -> Shift:
    """Estimate the shift of the later date over the whole overlap.

    Windows all over it are correlated one by one, and their planes added: where the ground itself
    changed they have no peak in common. The estimate is the median of the windows that agree
    with the common peak.

    Args:
        pair: both dates.
        stretched: returns the pixels of both dates as the network sees them.
    """
    spectra: list[Complex] = []
    for window in pair.windows(_SIDE, _PLACES):
        seen = pair.read(window)
        if min(seen.valid.shape) < _SMALLEST or seen.valid.mean() < _FULL:
            continue
        before, after = (_orientation(one.mean(axis=0), seen.valid) for one in stretched(seen))
        spectra.append(_spectrum(before, after))
    unknown = Shift(None, None, 0, len(spectra), None)
    if not spectra:
        return unknown
    common = _peak(sum(_plane(one) for one in spectra))
    if common is None:
        return unknown
    own = np.array([_refined(one, common) for one in spectra])
    away = np.hypot(*(own - np.array(common)).T)
    close = away <= _AGREED
    if close.sum() < min(_LEAST, len(spectra)):
        return unknown
    row, column = np.median(own[close], axis=0)
    spread = np.median(np.hypot(*(own[close] - (row, column)).T))
    told = (round(float(one), 2) for one in (column, row))
    return Shift(*told, int(close.sum()), len(spectra), round(float(spread), 2))


def _orientation(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> Complex:
    """Return the direction of edges as complex numbers (rows, columns), near 0 off the edges.

    The angle is doubled, so that an edge stays the same where dark and bright change sides, as
    they do from one season and sun to another (Fitch et al. 2002, Orientation Correlation,
    doubles none).
    """
    filled = np.where(valid, image, image[valid].mean()).astype(np.float64)
    down, across = np.gradient(gaussian_filter(filled, 1.0))
    slope = across + 1j * down
    steep = np.abs(slope)
    # Noise, which is as steep as most pixels are, counts half at most.
    scale = (steep + 1e-9) * (steep + np.median(steep) + 1e-9)
    turned = np.where(binary_dilation(~valid, iterations=3), 0, slope**2 / scale)
    height, width = turned.shape
    return (turned - turned.mean()) * np.outer(np.hanning(height), np.hanning(width))


def _spectrum(before: Complex, after: Complex) -> Complex:
    """Return the phases of the cross spectrum (Kuglin and Hines 1975).

    What is noise in both keeps little weight.
    """
    product = np.fft.fft2(after) * np.conj(np.fft.fft2(before))
    size = np.abs(product)
    return product / (size + np.median(size) + 1e-12)


def _plane(spectrum: Complex) -> NDArray[np.float64]:
    plane = np.real(np.fft.ifft2(spectrum))
    return (plane - plane.mean()) / (plane.std() + 1e-12)


def _peak(plane: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return rows and columns of the highest value, or None where it does not stand out."""
    if plane.max() < _CLEAR * plane.std() or not plane.max() > 0:
        return None
    place = np.unravel_index(np.argmax(plane), plane.shape)
    row, column = (
        float(one - length if one > length // 2 else one)
        for one, length in zip(place, plane.shape, strict=True)
    )
    return row, column


def _refined(spectrum: Complex, coarse: tuple[float, float]) -> tuple[float, float]:
    """Return rows and columns of a window's own peak near another, by a fine Fourier sum.

    Guizar-Sicairos, Thurman and Fienup 2008, section 2C.
    """
    around = _AGREED + _AROUND
    offsets = np.arange(-around, around + 0.5 / _FINE, 1 / _FINE)
    waves: list[Complex] = []
    for place, length in zip(coarse, spectrum.shape, strict=True):
        waves.append(np.exp(2j * np.pi * np.outer(place + offsets, np.fft.fftfreq(length))))
    fine = np.real(waves[0] @ spectrum @ waves[1].T)
    row, column = np.unravel_index(np.argmax(fine), fine.shape)
    return coarse[0] + float(offsets[row]), coarse[1] + float(offsets[column])
