"""The loss of a prompt that may mean several objects: only the best answer learns."""

from collections.abc import Callable

from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.losses.dice import dice_loss
from samdomain.losses.focal import focal_loss
from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce

MaskCost = Callable[[Tensor, Tensor], Tensor]
"""Judge logits (*n, h, w) by masks (*n, h, w): one differentiable loss a mask."""


def sam_cost(
    logits: Float[Tensor, "*n h w"], target: Shaped[Tensor, "*n h w"]
) -> Float[Tensor, "*n"]:
    """Compute 20 focal + 1 dice of each mask.

    Source: Kirillov et al., Segment Anything (2023), appendix A.
    """
    focal = focal_loss(logits, target, reduction="none")
    return 20 * focal + dice_loss(logits, target, reduction="none")


def semantic_sam_cost(
    logits: Float[Tensor, "*n h w"], target: Shaped[Tensor, "*n h w"]
) -> Float[Tensor, "*n"]:
    """Compute 5 cross-entropy + 5 dice of each mask.

    The box terms of the source are left out: SAM's mask tokens predict no boxes.

    Source: Li et al., Semantic-SAM (arXiv 2307.04767), and its official code.
    """
    logits = single(logits)
    pixels = F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="none")
    return 5 * pixels.mean(dim=(-2, -1)) + 5 * dice_loss(logits, target, reduction="none")


def ambiguity_loss(
    logits: Float[Tensor, "n m h w"],
    target: Shaped[Tensor, "n h w"],
    *,
    cost: MaskCost = sam_cost,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the loss of the best of M alternatives of each prompt.

    The gradient of the others is exactly 0; of equals the first is the best. With one
    alternative it is that one's cost.

    Args:
        logits: alternatives for each prompt.
        target: true mask of each prompt.
        cost: loss of one mask; 20 focal + 1 dice by default.
        reduction: what becomes of one loss a prompt.

    Source: Kirillov et al., Segment Anything (2023), section 3, "Resolving ambiguity".
    """
    costs = cost(logits, target[:, None].expand(logits.shape))
    # Not amin, which shares the gradient among equals.
    return reduce(costs.min(dim=1).values, reduction)


class AmbiguityLoss(nn.Module):
    """Hold the settings of `ambiguity_loss`."""

    def __init__(self, cost: MaskCost = sam_cost, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.cost = cost
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "n m h w"], target: Shaped[Tensor, "n h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of prompts; see `ambiguity_loss`."""
        return ambiguity_loss(logits, target, cost=self.cost, reduction=self.reduction)
