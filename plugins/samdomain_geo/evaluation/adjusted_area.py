"""Estimate areas and accuracies from a sample of a map, with their errors."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samdomain_geo.evaluation.confusion import ConfusionMatrix

_NORMAL_95 = 1.96
"""Half width of a 95% confidence interval in standard errors, as in the paper."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimated values with their standard errors; NaN where none can be told."""

    value: Numbers
    error: Numbers

    @property
    def margin(self) -> Numbers:
        """Half width of the 95% confidence interval."""
        return _NORMAL_95 * self.error


@dataclass(frozen=True, eq=False)
class AdjustedArea:
    """Accuracies and shares of area that allow for the map's own errors.

    The strata are the map's classes: what the sample says of a class counts as much as the
    class has area on the map, however many of the sample's pixels lie in it.

    Attributes:
        overall: overall accuracy, one value.
        users: user's accuracy of each class.
        producers: producer's accuracy of each class.
        shares: share of the area that each class truly has.
        unsampled: share of the map in classes of which no pixel was compared; the estimates
            are of the rest.
    """

    overall: Estimate
    users: Estimate
    producers: Estimate
    shares: Estimate
    unsampled: float


def adjust_area(confusion: ConfusionMatrix, area: Numbers) -> AdjustedArea:
    """Estimate with the stratified estimators of good practice.

    Source: Olofsson et al. 2014, Remote Sensing of Environment 148, 42-57, equations 1 to 13,
    with the paper's map classes i as columns here and its reference classes j as rows.

    Args:
        confusion: the compared pixels, taken for a random sample within each class of the map.
        area: area of each of its classes on the whole map, in any unit.
    """
    counts = confusion.pixels.T.astype(np.float64)  # (map i, reference j)
    sizes = counts.sum(axis=1)
    sampled = sizes > 0
    whole = float(area.sum())
    weights = np.where(sampled, area, 0.0)
    unsampled = 1.0 - weights.sum() / whole if whole else 0.0
    weights = weights / weights.sum() if weights.any() else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        within = np.where(sampled[:, None], counts / sizes[:, None], 0.0)  # n_ij / n_i
        # A stratum of one pixel tells nothing of its spread.
        spread = np.where(sampled[:, None], within * (1 - within) / (sizes - 1)[:, None], 0.0)
        users = np.where(sampled, within.diagonal(), np.nan)
        shares = weights @ within
        hits = weights * within.diagonal()
        producers = hits / shares
        return AdjustedArea(
            overall=Estimate(
                np.asarray(hits.sum()), np.sqrt(_spread_of(weights, spread.diagonal()).sum())
            ),
            users=Estimate(users, np.where(sampled, np.sqrt(spread.diagonal()), np.nan)),
            producers=Estimate(producers, _producers_error(weights, spread, producers, shares)),
            shares=Estimate(shares, np.sqrt(_spread_of(weights[:, None], spread).sum(axis=0))),
            unsampled=max(0.0, unsampled),
        )


def _spread_of(weights: Numbers, spread: Numbers) -> Numbers:
    # A class that takes no part of the map adds nothing, though its own spread be unknown.
    return np.where(weights > 0, weights**2 * spread, 0.0)


def _producers_error(
    weights: Numbers, spread: Numbers, producers: Numbers, shares: Numbers
) -> Numbers:
    # Equation 7, with areas divided by the whole area.
    weighted = _spread_of(weights[:, None], spread)
    own = (1 - producers) ** 2 * weighted.diagonal()
    others = producers**2 * (weighted.sum(axis=0) - weighted.diagonal())
    return np.sqrt(own + others) / shares


def number(value: float) -> float | None:
    """Return a figure as JSON holds it: nothing where it cannot be told."""
    return None if math.isnan(value) else float(value)
