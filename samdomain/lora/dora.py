"""LoRA whose updated rows keep a learned length of their own."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.lora.layers import Layer, LoRAConv2d, LoRALayer, LoRALinear, LowRank


class DoRALayer(LoRALayer):
    """Give each updated row of a weight a learned length; low rank turns its direction.

    The weight is m (W + BA) / |W + BA|, row by row, where the learned m begins as |W|. As in
    the paper's section 4.3 no gradient flows through the norm below.

    Attributes:
        magnitudes: lengths m by the name of the updated channels.

    Source: Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation (2024).
    """

    magnitudes: nn.ParameterDict

    def _take(self, base: Layer, updates: Mapping[str, LowRank]) -> None:
        super()._take(base, updates)
        lengths = row_lengths(self.weight.detach())
        self.magnitudes = nn.ParameterDict(
            {
                name: nn.Parameter(one.rows.of(lengths, -1).flatten().clone())
                for name, one in updates.items()
            }
        )

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's output with the updates, rows at their learned lengths."""
        output = self._without_bias(input)
        for update in self.updates().values():
            output = output + update.rows.spread(update(input), self._channels)
        gain = _along(self.gain(super().updated_weight()).to(output.dtype), -self._channels)
        output = output * gain
        if self.bias is None:
            return output
        return output + _along(self.bias.to(output.dtype), -self._channels)

    def gain(self, weight: Tensor) -> Tensor:
        """Return what each row of the updated weight is scaled by; 1 for other rows."""
        lengths = row_lengths(weight.detach())
        gain = torch.ones_like(lengths)
        for name, update in self.updates().items():
            learned = self.magnitudes[name].float()
            share = learned / update.rows.of(lengths, -1).flatten()
            others = update.rows.spread(torch.ones_like(share), -1) == 0
            gain = torch.where(others, gain, update.rows.spread(share, -1))
        return gain

    def updated_weight(self) -> Tensor:
        """Return the weight of a plain layer that computes the same, in float32."""
        weight = super().updated_weight()
        return weight * _along(self.gain(weight), weight.ndim)

    def _without_bias(self, input: Tensor) -> Tensor:
        raise NotImplementedError


class DoRALinear(DoRALayer, LoRALinear):
    """A linear layer with low-rank updates and learned lengths; see `LoRALinear`."""

    def _without_bias(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight)


class DoRAConv2d(DoRALayer, LoRAConv2d):
    """A convolution with low-rank updates and learned lengths; see `LoRAConv2d`."""

    def _without_bias(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, None)


def row_lengths(weight: Tensor) -> Tensor:
    """Return the Euclidean length of each row of a weight (out, ...)."""
    return weight.flatten(1).norm(dim=1)


def _along(values: Tensor, ndim: int) -> Tensor:
    """Return one value a channel in the shape that broadcasts over the axes behind it."""
    return values.reshape(-1, *(1,) * (ndim - 1))
