"""Losses of maps that name every pixel: cross-entropy over classes, and over labels."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce

_PIXELS = (1, 2, 3)  # of all classes


def class_loss(
    logits: Float[Tensor, "n k h w"],
    shares: Float[Tensor, "n k h w"],
    weights: Float[Tensor, " k"] | None = None,
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the cross-entropy of classes of which each pixel has one.

    An image costs -sum(w_k y_k log p_k) / sum(w_k y_k), p = softmax(logits), over all pixels and
    classes. Where a cell of the logits covers pixels of several classes, y_k are their shares;
    what is missing to 1 was not labelled, and costs nothing. An image without labels costs 0.

    Args:
        logits: K classes of N images.
        shares: y, the share of each class in each cell, 0 to 1; held constant.
        weights: w, a weight a class; all 1 by default.
        reduction: what becomes of one loss an image.
    """
    cost = -single(logits).log_softmax(dim=1)
    cells = _weighted(shares.detach().to(cost), weights)
    return reduce((cost * cells).sum(_PIXELS) / _safe(cells.sum(_PIXELS)), reduction)


def label_loss(
    logits: Float[Tensor, "n k h w"],
    shares: Float[Tensor, "n k h w"],
    labelled: Float[Tensor, "n 1 h w"],
    weights: Float[Tensor, " k"] | None = None,
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the cross-entropy of labels, any number of which a pixel may have.

    An image costs the mean of the binary cross-entropies of its labelled cells, all labels
    together, each weighed by w_k. An image without labels costs 0.

    Args:
        logits: K labels of N images.
        shares: share of each label in each cell, 0 to 1; held constant.
        labelled: share of each cell that somebody looked at, 0 to 1.
        weights: w, a weight a label; all 1 by default.
        reduction: what becomes of one loss an image.
    """
    logits = single(logits)
    target, known = shares.detach().to(logits), labelled.detach().to(logits)
    # Softplus of each side: a share of what nobody looked at belongs to neither.
    cost = target * F.softplus(-logits) + (known - target).clamp(min=0) * F.softplus(logits)
    cells = _weighted(known.expand_as(cost), weights)
    return reduce(_weighted(cost, weights).sum(_PIXELS) / _safe(cells.sum(_PIXELS)), reduction)


class _WeightedLoss(nn.Module):
    """Hold a weight a channel, and how losses of images are put together."""

    weights: Tensor | None

    def __init__(
        self, weights: Float[Tensor, " k"] | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.reduction: Reduction = reduction


class ClassLoss(_WeightedLoss):
    """Hold the settings of `class_loss`."""

    def forward(
        self, logits: Float[Tensor, "n k h w"], shares: Float[Tensor, "n k h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of classes; see `class_loss`."""
        return class_loss(logits, shares, self.weights, reduction=self.reduction)


class LabelLoss(_WeightedLoss):
    """Hold the settings of `label_loss`."""

    def forward(
        self,
        logits: Float[Tensor, "n k h w"],
        shares: Float[Tensor, "n k h w"],
        labelled: Float[Tensor, "n 1 h w"],
    ) -> Float[Tensor, "..."]:
        """Return the loss of labels; see `label_loss`."""
        return label_loss(logits, shares, labelled, self.weights, reduction=self.reduction)


def _weighted(maps: Tensor, weights: Tensor | None) -> Tensor:
    return maps if weights is None else maps * weights.to(maps)[:, None, None]


def _safe(total: Tensor) -> Tensor:
    return total.where(total > 0, total.new_ones(()))
