"""What WeSAM makes smaller: a student's distance to its teacher, and to what it was before."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.losses import (
    anchor_loss,
    dice_loss,
    focal_loss,
    instance_contrast_loss,
    iou_loss,
)
from samdomain.recipes.recipe import Answer
from samdomain.recipes.values import Values


@dataclass(frozen=True, eq=False)
class Seen(Answer):
    """Carry what a network answered, and how it sees what it was asked for.

    Attributes:
        features: mean direction of the embedding's cells on each instance (N, C).
    """

    features: Float[Tensor, "n c"]


@dataclass(frozen=True)
class SelfTraining(Values):
    """Weigh the five terms of WeSAM's loss.

    Attributes:
        focal: weight of the focal loss to the teacher's masks.
        alpha: factor of the focal loss, the same for all pixels.
        dice: weight of the Dice loss to the teacher's masks.
        iou: weight of the squared error of the estimated IoU.
        anchor: weight of the Dice loss to the anchor's masks; 0 leaves the anchor out.
        contrast: weight of the contrast of instances; 0 leaves it out.
        temperature: see `instance_contrast_loss`.
        cross_image: instances of the other images of a batch are negatives too, so that
            images with one object learn from it.
        by_number: repeat the official code, where the number of masks came by mistake into the
            places of alpha and of Dice's smoothing; all instances are one mask for Dice there.

    Source: Zhang et al. (arXiv 2312.03502), equations 2 to 6, and its official code.
    """

    focal: float = 20.0
    alpha: float = 0.8
    dice: float = 1.0
    iou: float = 1.0
    anchor: float = 1.0
    contrast: float = 1.0
    temperature: float = 0.3
    cross_image: bool = True
    by_number: bool = False

    def __call__(
        self, student: Seen, teacher: Seen | None = None, anchor: Seen | None = None
    ) -> dict[str, Tensor]:
        """Return the weighted terms; those that are left out are not there.

        Args:
            student: what learns, and its targets.
            teacher: the teacher's view where gradients flow through it: then half of the anchor's
                term and all of the contrast are its own, as in the official code.
            anchor: what the frozen source says.
        """
        terms = self._to_targets(student)
        if anchor is not None and self.anchor:
            terms["anchor"] = self.anchor * self._to_anchor(student, teacher, anchor)
        if anchor is not None and self.contrast:
            terms["contrast"] = self.contrast * self._contrast(teacher or student, anchor)
        return terms

    def _to_targets(self, student: Seen) -> dict[str, Tensor]:
        logits, number = student.prediction.low_res[:, 0], len(student.prediction)
        alpha = number if self.by_number else self.alpha
        focal = focal_loss(logits, student.target, alpha=None)
        smooth = float(max(1, number)) if self.by_number else 1.0
        estimate = student.prediction.iou[:, 0]
        return {
            "focal": self.focal * alpha * focal,
            "dice": self.dice * self._dice(logits, student.target, smooth),
            "iou": self.iou * iou_loss(estimate, logits, student.target),
        }

    def _dice(self, logits: Tensor, target: Tensor, smooth: float) -> Tensor:
        if self.by_number and len(logits):
            logits, target = logits.flatten(0, 1), target.flatten(0, 1)
        return dice_loss(logits, target, smooth=smooth)

    def _to_anchor(self, student: Seen, teacher: Seen | None, anchor: Seen) -> Tensor:
        masks = anchor.prediction.low_res[:, 0]
        costs = [
            self._dice(one.prediction.low_res[:, 0], (masks > 0).to(masks), 1.0)
            if self.by_number
            else anchor_loss(one.prediction.low_res[:, 0], masks)
            for one in (student, teacher)
            if one is not None
        ]
        return torch.stack(costs).mean()

    def _contrast(self, seen: Seen, anchor: Seen) -> Tensor:
        images = seen.prediction.images
        groups = torch.zeros_like(images) if self.cross_image else images
        return instance_contrast_loss(
            seen.features, anchor.features, groups, temperature=self.temperature
        )
