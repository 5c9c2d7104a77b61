"""The boundary loss: predicted edges lie where SAM saw edges."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce

# Keeps a quotient finite where no boundary is; far below one pixel.
_TINY = 1e-7


def soft_boundary(probabilities: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """Find how much of a boundary each pixel is: 1 minus the sum of 3 x 3 minima of the classes.

    It is 0 inside a region and 1 on the two pixels on either side of a hard edge.

    Args:
        probabilities: class probabilities that add up to 1.
    """
    least = -F.max_pool2d(-probabilities, 3, stride=1, padding=1)
    return (1 - least.sum(dim=1)).clamp_min(0)  # rounding may leave it below


def boundary_loss(
    logits: Float[Tensor, "b c h w"],
    boundary: Shaped[Tensor, "b h w"],
    *,
    tolerance_px: int = 2,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute 1 - BF1, the F-score of soft predicted boundaries, for each image.

    It lies between 0 and 1 and does not depend on the order of classes. An image without any
    boundary to match says nothing and costs 0. Nearly every prediction matches dense
    boundaries: the loss tells something only where they are sparse.

    This is the loss that the paper describes, made differentiable. The official code takes an
    argmax, which leaves no gradient, and a difference of class numbers, which can exceed 1.

    Args:
        logits: classes of each pixel; with one channel, logits of the object against the rest.
        boundary: 1 on SAM's boundaries, which are two pixels wide, else 0.
        tolerance_px: how far a boundary may lie off; 2 is the source's window of 5.
        reduction: what becomes of one loss an image.

    Source: Ma et al., SAM-Assisted Remote Sensing Imagery Semantic Segmentation With Object
    and Boundary Constraints (arXiv 2312.02464), "boundary loss".
    """
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    predicted = soft_boundary(single(logits).softmax(dim=1))
    true = boundary.to(predicted)
    pixels = (-2, -1)
    precision = (predicted * _widen(true, tolerance_px)).sum(pixels) / (
        predicted.sum(pixels) + _TINY
    )
    recall = (_widen(predicted, tolerance_px) * true).sum(pixels) / (true.sum(pixels) + _TINY)
    losses = 1 - 2 * precision * recall / (precision + recall + _TINY)
    return reduce(torch.where(true.sum(pixels) > 0, losses, 0.0), reduction)


class BoundaryLoss(nn.Module):
    """Hold the settings of `boundary_loss`."""

    def __init__(self, tolerance_px: int = 2, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.tolerance_px = tolerance_px
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "b c h w"], boundary: Shaped[Tensor, "b h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of images; see `boundary_loss`."""
        return boundary_loss(
            logits, boundary, tolerance_px=self.tolerance_px, reduction=self.reduction
        )


def _widen(boundary: Tensor, tolerance_px: int) -> Tensor:
    window = 2 * tolerance_px + 1
    return F.max_pool2d(boundary[:, None], window, stride=1, padding=tolerance_px)[:, 0]
