"""Bring the values of two dates to one scale, once for the whole scene."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain_geo.pairs.pair import Pair, Seen
from samdomain_geo.scenes.stretch import DISPLAY_RANGE, Stretch, StretchRule

Match = Literal["mean", "histogram"]

# Quantiles at which histograms are made alike; the ends are left out, where single pixels rule.
_QUANTILES = np.linspace(0.01, 0.99, 33)

# A normal distribution's quartiles lie 1.349 standard deviations apart.
_QUARTILES = (0.25, 0.5, 0.75)

# Values nearer than this are one: stairs of bytes have no slope between them.
_STEP = 1e-3


@dataclass(frozen=True)
class Curve:
    """Map the values of a band along straight pieces between knots, 0 to 255.

    Attributes:
        given: values that go in, ascending.
        wanted: what becomes of each.
    """

    given: tuple[float, ...]
    wanted: tuple[float, ...]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values of any shape; beyond the knots the slope is one."""
        inside = np.interp(values, self.given, self.wanted)
        beyond = values - np.clip(values, self.given[0], self.given[-1])
        return np.clip(inside + beyond, *DISPLAY_RANGE).astype(np.float32)


@dataclass(frozen=True)
class Radiometry:
    """How the stored values of both dates become 0 to 255.

    Attributes:
        before: stretch of the earlier date.
        after: stretch of the later one.
        curves: one a band, that make the later date's values like the earlier one's; none
            where they are left as they are.
    """

    before: Stretch
    after: Stretch
    curves: tuple[Curve, ...] = ()

    @classmethod
    def measure(cls, pair: Pair, rule: StretchRule, match: Match | None) -> Self:
        """Measure both dates, once for the whole scene.

        Args:
            pair: both dates.
            rule: how the stretch of a date is found.
            match: "mean" makes medians and quartiles alike, which changes of some percent of
                the ground do not move; "histogram" the whole distribution; None neither.

        Raises:
            InputError: `match` is none of these.
        """
        if match is not None and match not in get_args(Match):
            raise InputError(f"--match is {match!r}: give mean or histogram, or omit it")
        plain = cls(rule(pair.before), rule(pair.after))
        if match is None:
            return plain
        sides = [[], []]
        for seen in pair.looks():
            for side, image in zip(sides, plain(seen), strict=True):
                side.append(image[:, seen.valid])
        before, after = (np.concatenate(side, axis=1) for side in sides)
        if before.size == 0:
            return plain
        fit = _quartiles if match == "mean" else _quantiles
        curves = tuple(fit(one, other) for one, other in zip(before, after, strict=True))
        return cls(plain.before, plain.after, curves)

    def __call__(self, seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both dates (bands, rows, columns), 0 to 255."""
        after = self.after(seen.after)
        if self.curves:
            after = np.stack([c(band) for c, band in zip(self.curves, after, strict=True)])
        return self.before(seen.before), after

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def read(cls, told: dict[str, Any]) -> Self:
        """Read it back from what `told` returned."""
        curves = tuple(Curve(tuple(one["given"]), tuple(one["wanted"])) for one in told["curves"])
        sides = (
            Stretch(tuple(told[name]["low"]), tuple(told[name]["high"]))
            for name in ("before", "after")
        )
        return cls(*sides, curves)


def _quartiles(before: NDArray[np.float32], after: NDArray[np.float32]) -> Curve:
    low, middle, high = (float(one) for one in np.quantile(after, _QUARTILES))
    wanted = [float(one) for one in np.quantile(before, _QUARTILES)]
    gain = (wanted[2] - wanted[0]) / (high - low) if high > low and wanted[2] > wanted[0] else 1.0
    ends = DISPLAY_RANGE
    return Curve(ends, tuple(wanted[1] + gain * (end - middle) for end in ends))


def _quantiles(before: NDArray[np.float32], after: NDArray[np.float32]) -> Curve:
    given, wanted = np.quantile(after, _QUANTILES), np.quantile(before, _QUANTILES)
    kept = _ascending(given)
    return Curve(tuple(given[kept].tolist()), tuple(wanted[kept].tolist()))


def _ascending(values: NDArray[np.float64]) -> Sequence[int]:
    """Return the places of values that are each larger than the one before."""
    return [0, *(np.flatnonzero(np.diff(values) > _STEP) + 1).tolist()]
