"""The temporal similarity loss: what did not change looks the same on both dates."""

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from samdomain.losses.directions import angle_cost
from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce


def temporal_loss(
    before: Float[Tensor, "b k h w"],
    after: Float[Tensor, "b k h w"],
    changed: Shaped[Tensor, "b h w"],
    *,
    temperature: float = 3.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute 1 - cosine of the latent classes of two dates where nothing changed.

    It lies between 0 and 1 and treats both dates alike. Changed pixels cost nothing and are
    not pushed apart, but the mean is over all pixels. The temperature scales the loss as well:
    a high one takes it towards 0.

    Args:
        before: raw latent classes of the first date.
        after: raw latent classes of the second date.
        changed: 1 where something changed, else 0.
        temperature: divides the latents before their softmax; 3 in the official training.
        reduction: what becomes of one loss an image.

    Source: Ding et al., Adapting Segment Anything Model for Change Detection in HR Remote
    Sensing Images (arXiv 2309.01429), and its official code.
    """
    first, second = ((single(latents) / temperature).softmax(dim=1) for latents in (before, after))
    unchanged = 1 - changed.to(first)
    return reduce((unchanged * angle_cost(first, second, dim=1)).mean(dim=(1, 2)), reduction)


class TemporalLoss(nn.Module):
    """Hold the settings of `temporal_loss`."""

    def __init__(self, temperature: float = 3.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.temperature = temperature
        self.reduction: Reduction = reduction

    def forward(
        self,
        before: Float[Tensor, "b k h w"],
        after: Float[Tensor, "b k h w"],
        changed: Shaped[Tensor, "b h w"],
    ) -> Float[Tensor, "..."]:
        """Return the loss of pairs of images; see `temporal_loss`."""
        return temporal_loss(
            before, after, changed, temperature=self.temperature, reduction=self.reduction
        )
