"""The loss of maps that name every pixel, with the settings in which papers differ."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.errors import InputError
from samdomain.losses import class_loss, label_loss
from samdomain.losses.dice import dice_of_probabilities
from samdomain.recipes.values import Values


@dataclass(frozen=True)
class ClassCost(Values):
    """Add up cross-entropy and Dice over classes, or over labels that may overlap.

    Dice takes all images of a batch as one map, and is the mean over the classes: a class that
    an image lacks is then no matter of a few pixels.

    Attributes:
        cross_entropy: weight of the cross-entropy.
        dice: weight of the Dice loss.
        weights: a weight a class, for rare ones; all 1 where it is empty.
        smooth: see `dice_loss`.
        squared: see `dice_loss`; SAMed's code squares.

    Source: Zhang and Liu, SAMed (arXiv 2304.13785), section 3.4, for the weights 0.2 and 0.8.
    """

    cross_entropy: float = 0.2
    dice: float = 0.8
    weights: tuple[float, ...] = ()
    smooth: float = 1.0
    squared: bool = False

    def of_classes(
        self, logits: Float[Tensor, "n k s s"], shares: Float[Tensor, "n k s s"]
    ) -> dict[str, Tensor]:
        """Return the terms of classes of which each pixel has one; see `class_loss`."""
        labelled = shares.sum(dim=1, keepdim=True)
        probabilities = logits.float().softmax(dim=1) * labelled
        return {
            "cross_entropy": self.cross_entropy * class_loss(logits, shares, self._weights(shares)),
            "dice": self.dice * self._dice(probabilities, shares),
        }

    def of_labels(
        self,
        logits: Float[Tensor, "n k s s"],
        shares: Float[Tensor, "n k s s"],
        labelled: Float[Tensor, "n 1 s s"],
    ) -> dict[str, Tensor]:
        """Return the terms of labels of which a pixel has any number; see `label_loss`."""
        probabilities = logits.float().sigmoid() * labelled
        cost = label_loss(logits, shares, labelled, self._weights(shares))
        return {
            "cross_entropy": self.cross_entropy * cost,
            "dice": self.dice * self._dice(probabilities, shares),
        }

    def _dice(self, probabilities: Tensor, shares: Tensor) -> Tensor:
        maps = (one.transpose(0, 1).flatten(1, 2) for one in (probabilities, shares.float()))
        losses = dice_of_probabilities(
            *maps, smooth=self.smooth, squared=self.squared, reduction="none"
        )
        weights = self._weights(shares)
        return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()

    def _weights(self, shares: Tensor) -> Tensor | None:
        if not self.weights:
            return None
        if len(self.weights) != shares.shape[1]:
            raise InputError(
                f"{len(self.weights)} class weights were given for {shares.shape[1]} classes: "
                "give one each"
            )
        return torch.tensor(self.weights, device=shares.device)
