"""The loss of masks that answer no ambiguous prompt, with the settings in which papers differ."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from samdomain.losses import dice_loss, focal_loss
from samdomain.recipes.values import Values


@dataclass(frozen=True)
class MaskLoss(Values):
    """Add up Dice and focal losses of masks; the mean over prompts and over alternatives.

    Attributes:
        dice: weight of the Dice loss.
        focal: weight of the focal loss; SAM's is 20 to a Dice of 1.
        smooth: see `dice_loss`.
        squared: see `dice_loss`.
        background: add the Dice loss of what is not the object.
        pooled: take all prompts of a batch as one mask.
        slope: probabilities are sigmoid(slope * (logit - middle)).
        middle: logit at which training draws the line. Inference draws it at 0, so another
            value only repeats what an official code does.
    """

    dice: float = 1.0
    focal: float = 0.0
    smooth: float = 1.0
    squared: bool = False
    background: bool = False
    pooled: bool = False
    slope: float = 1.0
    middle: float = 0.0

    def __call__(
        self, logits: Float[Tensor, "n m s s"], target: Float[Tensor, "n s s"]
    ) -> Float[Tensor, ""]:
        """Return the loss of N prompts with M alternatives each, every one held to the target.

        Args:
            logits: predicted masks.
            target: true masks, 0 to 1.
        """
        if not len(logits):
            return 0 * logits.sum()  # pooled, no pixel would be left to take a mean over
        scaled = self.slope * (logits.transpose(0, 1) - self.middle)  # (m, n, s, s)
        true = target.expand(scaled.shape)
        if self.pooled:
            scaled, true = (one.flatten(1, 2) for one in (scaled, true))
        loss = self.dice * self._dice(scaled, true)
        if self.background:
            loss = loss + self.dice * self._dice(-scaled, 1 - true)
        if self.focal:
            loss = loss + self.focal * focal_loss(scaled, true)
        return loss

    def _dice(self, logits: Tensor, target: Tensor) -> Tensor:
        return dice_loss(logits, target, smooth=self.smooth, squared=self.squared)


DICE = MaskLoss()
"""Dice alone."""

SAM_COST = MaskLoss(focal=20.0)
"""Focal and Dice losses at 20 to 1, as SAM was trained with: small objects profit."""
