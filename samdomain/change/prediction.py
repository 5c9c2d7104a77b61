"""What a head of change answers: where something changed, and the latents of both dates."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from samdomain.sam import Prediction


@dataclass(frozen=True, eq=False)
class ChangePrediction(Prediction):
    """Carry the change of B pairs of images: one mask a pair, in the pixels of its first date.

    Attributes:
        latents: raw latent classes of both dates (B, T=2, K, h, w) over the encoder's padded
            input; None of a head without latents.
    """

    latents: Float[Tensor, "b 2 k h2 w2"] | None = None
