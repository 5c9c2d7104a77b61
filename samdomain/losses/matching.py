"""The many-to-many loss: the masks of one click answer all objects that the click lies on."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from samdomain.errors import InputError
from samdomain.losses.ambiguity import MaskCost, semantic_sam_cost
from samdomain.losses.reduction import Reduction, reduce

Pairs = tuple[Int[Tensor, " _"], Int[Tensor, " _"]]
"""Matched masks of one click: predicted and true, by their index."""


def masks_under(
    points: Float[Tensor, "p 2"], masks: Shaped[Tensor, "g h w"]
) -> list[Shaped[Tensor, "_ h w"]]:
    """Find all masks that each point lies on, a set (G_p, H, W) for each point.

    Args:
        points: (x, y) in pixels of the masks, the origin at the top-left corner.
        masks: objects, parts and subparts of one image.

    Raises:
        InputError: a point lies outside the masks.
    """
    columns, rows = points.floor().long().unbind(1)
    height, width = masks.shape[1:]
    outside = (columns < 0) | (columns >= width) | (rows < 0) | (rows >= height)
    if outside.any():
        raise InputError(
            f"the point {points[outside][0].tolist()} lies outside masks of {width} x {height} "
            "pixels: give (x, y) inside"
        )
    return [masks[masks[:, row, column] > 0] for row, column in zip(rows, columns, strict=True)]


def many_to_many_matching(
    logits: Float[Tensor, "p k h w"],
    targets: Sequence[Shaped[Tensor, "_ h w"]],
    *,
    cost: MaskCost = semantic_sam_cost,
) -> list[Pairs]:
    """Match predicted with true masks, click by click, at the least total cost.

    No mask is matched twice, and none with a mask of another click. Of K predictions and G
    true masks, min(K, G) are matched; where G is larger the cheapest are chosen (the official
    code draws K of them by chance first).

    Args:
        logits: K alternatives for each of P clicks.
        targets: all true masks of each click, as `masks_under` finds them.
        cost: cost of a pair.

    Raises:
        InputError: there is not one set of true masks for each click.

    Source: Li et al., Semantic-SAM (arXiv 2307.04767).
    """
    return [pairs for pairs, _ in _matched(logits, targets, cost)]


def many_to_many_loss(
    logits: Float[Tensor, "p k h w"],
    targets: Sequence[Shaped[Tensor, "_ h w"]],
    *,
    cost: MaskCost = semantic_sam_cost,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the mean cost of the matched masks of each click; see `many_to_many_matching`.

    Masks without a match get no gradient, and a click without a true mask costs 0. With one
    true mask it equals `ambiguity_loss` of the same cost.

    Args:
        logits: K alternatives for each of P clicks.
        targets: all true masks of each click.
        cost: cost of a pair.
        reduction: what becomes of one loss a click.

    Raises:
        InputError: there is not one set of true masks for each click.

    Source: Li et al., Semantic-SAM (arXiv 2307.04767).
    """
    losses = [reduce(costs, "mean") for _, costs in _matched(logits, targets, cost)]
    return reduce(torch.stack(losses) if losses else logits.sum((1, 2, 3)), reduction)


class ManyToManyLoss(nn.Module):
    """Hold the settings of `many_to_many_loss`."""

    def __init__(self, cost: MaskCost = semantic_sam_cost, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.cost = cost
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "p k h w"], targets: Sequence[Shaped[Tensor, "_ h w"]]
    ) -> Float[Tensor, "..."]:
        """Return the loss of clicks; see `many_to_many_loss`."""
        return many_to_many_loss(logits, targets, cost=self.cost, reduction=self.reduction)


def _matched(
    logits: Tensor, targets: Sequence[Tensor], cost: MaskCost
) -> list[tuple[Pairs, Tensor]]:
    if len(logits) != len(targets):
        raise InputError(
            f"there are {len(logits)} clicks, but true masks for {len(targets)}: "
            "give one set of masks for each click"
        )
    return [_match_click(own, true, cost) for own, true in zip(logits, targets, strict=True)]


def _match_click(logits: Tensor, targets: Tensor, cost: MaskCost) -> tuple[Pairs, Tensor]:
    shape = (len(logits), len(targets), *logits.shape[1:])  # (k, g, h, w)
    costs = cost(logits[:, None].expand(shape), targets[None].expand(shape))  # (k, g)
    # Costs that are not finite must reach the loss, where training looks for them.
    finite = costs.detach().double().nan_to_num(nan=1e9, posinf=1e9).cpu().numpy()
    rows, columns = (
        torch.as_tensor(i, device=logits.device) for i in linear_sum_assignment(finite)
    )
    return (rows, columns), costs[rows, columns]
