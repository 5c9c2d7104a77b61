"""SAM's normalisation of channels, in one pass over memory."""

from jaxtyping import Float
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor
from torch.nn import functional as F


class ChannelNorm(LayerNorm2d):
    """Normalise the channels of each cell of a map, as segment-anything's `LayerNorm2d` does.

    That one runs some ten operations over the whole map, each of which keeps a copy for the
    gradients; the fused kernel wants channels last, which this one's result is in memory.
    """

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return maps whose channels have mean 0 and variance 1 in each cell, then scaled."""
        cells = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(cells, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)
