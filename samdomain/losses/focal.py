"""The focal loss of a mask."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce


def focal_loss(
    logits: Float[Tensor, "*n h w"],
    target: Shaped[Tensor, "*n h w"],
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the focal loss, the mean over the pixels of each mask.

    A pixel costs -alpha_t (1 - p_t)^gamma log p_t. `alpha` is a constant. WeSAM's code hands
    the number of masks over in its place by mistake, as a factor of all pixels alike: that is
    `number * focal_loss(..., alpha=None)`, and never the default here.

    Args:
        logits: predicted masks.
        target: true masks: bool, 0 and 1, or probabilities between them; held constant.
        alpha: weight of the object, 1 - alpha that of the rest; None weighs both with 1.
        gamma: how strongly easy pixels fade; 0 is the weighted cross-entropy.
        reduction: what becomes of one loss a mask.

    Source: Lin et al., Focal Loss for Dense Object Detection (2017), equation 5; values of
    Kirillov et al., Segment Anything (2023), appendix A.
    """
    logits = single(logits)
    target = target.detach().to(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # log(1 - p_t): a power of 1 - p_t itself has no finite gradient where that is 0.
    log_miss = torch.logaddexp(
        F.logsigmoid(logits) + (1 - target).log(), F.logsigmoid(-logits) + target.log()
    )
    loss = (gamma * log_miss).exp() * cross_entropy
    if alpha is not None:
        loss = loss * (alpha * target + (1 - alpha) * (1 - target))
    return reduce(loss.mean(dim=(-2, -1)), reduction)


class FocalLoss(nn.Module):
    """Hold the settings of `focal_loss`."""

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "*n h w"], target: Shaped[Tensor, "*n h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of masks; see `focal_loss`."""
        return focal_loss(
            logits, target, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction
        )
