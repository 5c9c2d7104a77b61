"""The distillation losses: keep what another model knows."""

from jaxtyping import Float
from torch import Tensor, nn

from samdomain.losses.dice import dice_loss, dice_of_probabilities
from samdomain.losses.directions import angle_cost
from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce
from samdomain.losses.self_distillation import self_distillation_loss


def cosine_loss(
    student: Float[Tensor, "*n d"],
    teacher: Float[Tensor, "*n d"],
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute 1 - cosine of features, 0 where they are equal up to a positive factor.

    Args:
        student: features that learn; bring the channels of a map to the end.
        teacher: features that are learned from; held constant.
        reduction: what becomes of one loss a vector.

    Source: Wang et al., SAM-CLIP (arXiv 2310.15308), stage of head probing.
    """
    return reduce(angle_cost(single(student), single(teacher.detach()), dim=-1), reduction)


def rehearsal_loss(
    student: Float[Tensor, "*n h w"],
    teacher: Float[Tensor, "*n h w"],
    *,
    dice_weight: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute how far masks moved away from those of a frozen model, on old data.

    It is the divergence KL(teacher || student) of pixels plus the Dice loss between both
    models' probabilities with squared denominators: exactly 0 where nothing moved. Its gradient
    is 0 there too, so that a model that has not changed is not pushed. Losses to the teacher's
    hard masks, which the paper names, have neither property: `ambiguity_loss` and `anchor_loss`
    give them.

    Args:
        student: logits of the model that learns.
        teacher: logits of the frozen model for the same prompts; held constant.
        dice_weight: weight of the Dice term.
        reduction: what becomes of one loss a mask.

    Source: after Wang et al., SAM-CLIP (arXiv 2310.15308), stage of multi-task distillation.
    """
    teacher = teacher.detach()
    divergence = self_distillation_loss(student, teacher, reduction="none")
    moved = dice_of_probabilities(
        single(student).sigmoid(), single(teacher).sigmoid(), squared=True, reduction="none"
    )
    return reduce(divergence + dice_weight * moved.clamp_min(0), reduction)


def anchor_loss(
    logits: Float[Tensor, "*n h w"],
    anchor: Float[Tensor, "*n h w"],
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the Dice loss to the hard masks (logits above 0) of a frozen model.

    WeSAM takes half of it for the student and half for the teacher; its code pools all
    instances of an image as one mask, see `dice_loss` for how.

    Args:
        logits: logits of the model that learns.
        anchor: logits of the frozen model for the same prompts.
        reduction: what becomes of one loss a mask.

    Source: Zhang et al., Improving the Generalization of Segmentation Foundation Model under
    Distribution Shift via Weakly Supervised Adaptation (arXiv 2312.03502).
    """
    return dice_loss(logits, anchor > 0, reduction=reduction)


class CosineLoss(nn.Module):
    """Hold the settings of `cosine_loss`."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(
        self, student: Float[Tensor, "*n d"], teacher: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of features; see `cosine_loss`."""
        return cosine_loss(student, teacher, reduction=self.reduction)


class RehearsalLoss(nn.Module):
    """Hold the settings of `rehearsal_loss`."""

    def __init__(self, dice_weight: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.reduction: Reduction = reduction

    def forward(
        self, student: Float[Tensor, "*n h w"], teacher: Float[Tensor, "*n h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of masks; see `rehearsal_loss`."""
        return rehearsal_loss(
            student, teacher, dice_weight=self.dice_weight, reduction=self.reduction
        )


class AnchorLoss(nn.Module):
    """Hold the settings of `anchor_loss`."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "*n h w"], anchor: Float[Tensor, "*n h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of masks; see `anchor_loss`."""
        return anchor_loss(logits, anchor, reduction=self.reduction)
