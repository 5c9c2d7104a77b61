"""Make probabilities mean what they say: one temperature, fitted on validation."""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from samdomain.losses import class_loss, label_loss
from samdomain.recipes.legend import Legend

_PIXELS = 4096  # of an image: neighbours say the same
_BINS = 15  # as Guo et al. take
_WIDEST = math.log(20.0)  # temperatures from 1/20 to 20


@dataclass
class Calibration:
    """Collect logits with their truth, and fit the temperature that they want.

    Probabilities of a trained network are too sure as a rule. Divided by a temperature T, the
    logits keep their order, and no decision changes; T makes the cross-entropy smallest.

    Attributes:
        legend: what the channels of the logits mean.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), sections 4.2 and 2.
    """

    legend: Legend
    _logits: list[Tensor] = field(default_factory=list)
    _true: list[Tensor] = field(default_factory=list)

    def add(self, logits: Float[Tensor, "k h w"], true: Bool[Tensor, "k h w"]) -> None:
        """Take some pixels of an image, spread over it; those that nobody labelled are left out."""
        labelled = self.legend.labelled(true).flatten().cpu()
        places = labelled.nonzero()[:, 0]
        if not len(places):
            return
        taken = places[torch.linspace(0, len(places) - 1, _PIXELS).long().unique()]
        self._logits.append(logits.detach().flatten(1).cpu().double()[:, taken])
        self._true.append(true.flatten(1).cpu()[:, taken])

    def temperature(self) -> float:
        """Return T; 1 where nothing was collected."""
        if not self._logits:
            return 1.0
        logits, true = self._maps()
        found = minimize_scalar(
            lambda log: self._cost(logits / math.exp(log), true), bounds=(-_WIDEST, _WIDEST)
        )
        return math.exp(found.x)

    def error(self, temperature: float = 1.0) -> float:
        """Return the expected calibration error of probabilities at a temperature.

        It is the mean distance between how sure a decision is and how often such decisions are
        right, over 15 bins of sureness; 0 is best.
        """
        if not self._logits:
            return 0.0
        logits, true = self._maps()
        sure, right = self._decisions(logits / temperature, true)
        bins = (sure * _BINS).long().clamp(max=_BINS - 1)
        sums = torch.zeros(2, _BINS, dtype=torch.double)
        sums[0].index_add_(0, bins, sure)
        sums[1].index_add_(0, bins, right.double())
        return float((sums[0] - sums[1]).abs().sum() / len(sure))

    def _maps(self) -> tuple[Tensor, Tensor]:
        logits, true = torch.cat(self._logits, dim=1), torch.cat(self._true, dim=1)
        return logits[None, :, None], true[None, :, None]

    def _cost(self, logits: Tensor, true: Tensor) -> float:
        shares = true.double()
        if self.legend.overlapping:
            return float(label_loss(logits, shares, torch.ones_like(shares[:, :1])))
        return float(class_loss(logits, shares))

    def _decisions(self, logits: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = self.legend.probabilities(logits)
        if self.legend.overlapping:
            sure = torch.maximum(probabilities, 1 - probabilities)
            return sure.flatten(), ((logits > 0) == true).flatten()
        sure, best = probabilities.max(dim=1)
        return sure.flatten(), true.gather(1, best[:, None]).flatten()
