"""Measure how far the outlines of masks lie apart."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.masks import distance, outline
from samdomain.metrics.overlap import check_masks


def boundary_f1(
    predicted: Bool[Tensor, "n h w"], true: Bool[Tensor, "n h w"], tolerance_px: float = 2.0
) -> Float[Tensor, " n"]:
    """Measure the F1 of the outline pixels of each mask.

    Precision is the share of predicted outline pixels that have a true one within the
    tolerance, recall the share of true ones with a predicted one. Two empty masks have 1, one
    empty mask has 0. The image's border counts as outline of a mask that it cuts.

    Args:
        predicted: predicted masks.
        true: true masks.
        tolerance_px: largest distance of two pixels' centres that still match.

    Raises:
        InputError: a mask is not bool.

    Source: Csurka et al., What is a good evaluation measure for semantic segmentation? (2013).
    """
    check_masks(predicted, true)
    scores = [_one_f1(*pair, tolerance_px) for pair in zip(predicted, true, strict=True)]
    return torch.tensor(scores, device=true.device)


def hausdorff95(
    predicted: Bool[Tensor, "n h w"],
    true: Bool[Tensor, "n h w"],
    spacing: tuple[float, float] = (1.0, 1.0),
) -> Float[Tensor, " n"]:
    """Measure the 95th percentile of the distances between the outlines of each mask (HD95).

    It is the larger of both directions' percentiles, as MONAI has it; medpy takes one
    percentile of both directions' distances together, which is another number. Two empty masks
    have 0, one empty mask has an infinite distance: cap it, or leave it out, before a mean.

    Args:
        predicted: predicted masks.
        true: true masks.
        spacing: height and width of a pixel, in the unit of the result; pixels by default.

    Raises:
        InputError: a mask is not bool.
    """
    check_masks(predicted, true)
    distances = [_one_hausdorff95(*pair, spacing) for pair in zip(predicted, true, strict=True)]
    return torch.tensor(distances, device=true.device)


def _one_f1(predicted: Tensor, true: Tensor, tolerance_px: float) -> float:
    if not predicted.any() or not true.any():
        return float(not predicted.any() and not true.any())
    to_true, to_predicted = _gaps(predicted, true, (1.0, 1.0))
    precision = float((to_true <= tolerance_px).float().mean())
    recall = float((to_predicted <= tolerance_px).float().mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _one_hausdorff95(predicted: Tensor, true: Tensor, spacing: tuple[float, float]) -> float:
    if not predicted.any() or not true.any():
        return 0.0 if not predicted.any() and not true.any() else math.inf
    # Not torch.quantile, which refuses more than 16 million values.
    return max(_percentile95(gaps) for gaps in _gaps(predicted, true, spacing))


def _gaps(predicted: Tensor, true: Tensor, spacing: tuple[float, float]) -> tuple[Tensor, Tensor]:
    predicted_outline, true_outline = outline(predicted), outline(true)
    return (
        distance(true_outline, spacing)[predicted_outline],
        distance(predicted_outline, spacing)[true_outline],
    )


def _percentile95(values: Tensor) -> float:
    ordered = values.sort().values
    place = 0.95 * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return float(low + (high - low) * (place - math.floor(place)))
