"""Compare masks of cases with their labels, and tell the figures of many cases."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Integer
from scipy.stats import bootstrap

FIGURES = ("dice", "iou", "boundary_f1", "hd95")
"""Names of the figures of a case; all but the last are 0 to 1, and more is better."""

_LEVEL = 0.95
_TOLERANCE = 2.0  # pixels or voxels, as `samdomain.metrics.boundary_f1` has it


def compare(
    found: Integer[np.ndarray, "*axes"],
    true: Integer[np.ndarray, "*axes"],
    classes: Sequence[str],
    spacing: Sequence[float] | None = None,
) -> dict[str, float]:
    """Measure a mask against the truth: a figure a class, by names as "dice", or "dice polyp".

    Dice and IoU of a class that is in neither are 1, its boundary's F1 too; HD95 is 0 then, and
    infinite where the class is in one of both alone.

    Args:
        found: 0, or number of the class, from 1 on.
        true: likewise, on the same grid.
        classes: names of the classes.
        spacing: distance of neighbours along each axis, the unit of HD95; pixels by default. The
            boundary's tolerance is 2 of the smallest of them.
    """
    steps = tuple(spacing or (1.0,) * found.ndim)
    figures: dict[str, float] = {}
    for number, name in enumerate(classes, start=1):
        values = _compared(found == number, true == number, steps)
        own = "" if len(classes) == 1 else f" {name}"
        figures |= {f"{figure}{own}": one for figure, one in zip(FIGURES, values, strict=True)}
    return figures


def _compared(
    found: Bool[np.ndarray, "*axes"], true: Bool[np.ndarray, "*axes"], steps: tuple[float, ...]
) -> tuple[float, float, float, float]:
    both, either = int((found & true).sum()), int((found | true).sum())
    if not either:
        return 1.0, 1.0, 1.0, 0.0
    dice, iou = 2 * both / (either + both), both / either
    if not (found.any() and true.any()):
        return dice, iou, 0.0, math.inf
    # To import MONAI takes seconds, which a command without labels need not wait for.
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance  # noqa: PLC0415
    from monai.metrics.surface_dice import compute_surface_dice  # noqa: PLC0415

    one, other = (torch.from_numpy(mask)[None, None].float() for mask in (found, true))
    given: dict[str, Any] = {"include_background": True, "spacing": list(steps)}
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it gives itself.
        warnings.filterwarnings("ignore", ".*always_return_as_numpy.*", FutureWarning)
        surface = compute_surface_dice(one, other, [_TOLERANCE * min(steps)], **given)
        distance = compute_hausdorff_distance(one, other, percentile=95, **given)
    return dice, iou, float(surface), float(distance)


@dataclass(frozen=True)
class Summary:
    """A figure over many cases.

    Attributes:
        mean: of the cases where it is finite.
        median: likewise.
        low: lower end of the interval that holds the mean of such cases with 95% confidence.
        high: its upper end.
        cases: number of the cases.
        left_out: cases where it is not finite: HD95 of a class that only one side has.
    """

    mean: float
    median: float
    low: float
    high: float
    cases: int
    left_out: int = 0


def summarise(rows: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Summarise the figures of many cases, each over the cases that have it.

    The interval is from a bootstrap over cases (bias-corrected and accelerated, 2,000 draws, always
    the same); of fewer than three cases or equal ones it is the mean itself.

    Source: Efron, Better Bootstrap Confidence Intervals (1987).
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _summary([row[name] for row in rows if name in row]) for name in names}


def _summary(values: Sequence[float]) -> Summary:
    there = np.array([one for one in values if math.isfinite(one)])
    left_out = len(values) - len(there)
    if not len(there):
        return Summary(math.nan, math.nan, math.nan, math.nan, 0, left_out)
    mean, median = float(there.mean()), float(np.median(there))
    low = high = mean
    if len(there) > 2 and np.ptp(there) > 0:  # noqa: PLR2004 - a spread needs three
        drawn = bootstrap(
            (there,),
            np.mean,
            n_resamples=2000,
            confidence_level=_LEVEL,
            rng=np.random.default_rng(0),
        )
        low, high = (float(end) for end in drawn.confidence_interval)
    return Summary(mean, median, low, high, len(there), left_out)
