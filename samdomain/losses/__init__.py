"""What training makes smaller: losses as functions, and as modules that hold their settings.

All take logits and stay finite, with finite gradients, for empty masks and extreme logits.
`reduction` is "mean", "sum" or "none": what becomes of one loss an item.
"""

from samdomain.losses.ambiguity import (
    AmbiguityLoss,
    MaskCost,
    ambiguity_loss,
    sam_cost,
    semantic_sam_cost,
)
from samdomain.losses.boundary import BoundaryLoss, boundary_loss, soft_boundary
from samdomain.losses.classes import ClassLoss, LabelLoss, class_loss, label_loss
from samdomain.losses.contrast import (
    InstanceContrastLoss,
    instance_contrast_loss,
    instance_features,
)
from samdomain.losses.dice import DiceLoss, dice_loss
from samdomain.losses.distillation import (
    AnchorLoss,
    CosineLoss,
    RehearsalLoss,
    anchor_loss,
    cosine_loss,
    rehearsal_loss,
)
from samdomain.losses.focal import FocalLoss, focal_loss
from samdomain.losses.iou import IoULoss, Quality, iou_loss, mask_iou, soft_dice
from samdomain.losses.matching import (
    ManyToManyLoss,
    many_to_many_loss,
    many_to_many_matching,
    masks_under,
)
from samdomain.losses.objects import ObjectLoss, object_loss
from samdomain.losses.reduction import Reduction, reduce
from samdomain.losses.self_distillation import SelfDistillationLoss, self_distillation_loss
from samdomain.losses.temporal import TemporalLoss, temporal_loss

__all__ = [
    "AmbiguityLoss",
    "AnchorLoss",
    "BoundaryLoss",
    "ClassLoss",
    "CosineLoss",
    "DiceLoss",
    "FocalLoss",
    "InstanceContrastLoss",
    "IoULoss",
    "LabelLoss",
    "ManyToManyLoss",
    "MaskCost",
    "ObjectLoss",
    "Quality",
    "Reduction",
    "RehearsalLoss",
    "SelfDistillationLoss",
    "TemporalLoss",
    "ambiguity_loss",
    "anchor_loss",
    "boundary_loss",
    "class_loss",
    "cosine_loss",
    "dice_loss",
    "focal_loss",
    "instance_contrast_loss",
    "instance_features",
    "iou_loss",
    "label_loss",
    "many_to_many_loss",
    "many_to_many_matching",
    "mask_iou",
    "masks_under",
    "object_loss",
    "reduce",
    "rehearsal_loss",
    "sam_cost",
    "self_distillation_loss",
    "semantic_sam_cost",
    "soft_boundary",
    "soft_dice",
    "temporal_loss",
]
