"""Linear layers and convolutions with low-rank updates beside their frozen weights."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from samdomain.backbones.attention import Rows
from samdomain.injection import InjectedModule

Layer = nn.Linear | nn.Conv2d


class LowRank(nn.Module):
    """Update some output channels of a layer by a product of two thin layers.

    It adds scale * B A x, where A ("down") takes the layer's input to a few channels, Kaiming
    uniform at the start as torch's own layers, and B ("up") takes these to the output, zero at
    the start.

    Args:
        base: layer to update; its weight is not held.
        rows: output channels that are updated.
        rank: channels between A and B.
        scale: factor of the update.
        dropout: share of the input's values that are dropped in training.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021), section 4.1.
    """

    def __init__(
        self, base: Layer, rows: Rows, rank: int, scale: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.rows = rows
        self.rank = rank
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        with torch.device(base.weight.device):
            self.down, self.up = _factors(base, rank, rows.count)
        self.to(base.weight.dtype)
        nn.init.zeros_(self.up.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Return the update of the named channels, of the shape of the layer's output."""
        return self.up(self.between(self.down(self.dropout(input))) * self.scale)

    def between(self, low: Tensor) -> Tensor:
        """Return the few channels between A and B as they are."""
        return low

    def change(self) -> Tensor:
        """Return the change of the layer's weight that equals the update, (rows, ...).

        Raises:
            MergeError: no change of the weight does.
        """
        down, up = self.down.weight.float(), self.up.weight.float()
        return (up.flatten(1) @ down.flatten(1)).unflatten(1, down.shape[1:]) * self.scale


Updates = Callable[[str, Rows], LowRank]
"""Make the update for the channels of a given name."""


def _factors(base: Layer, rank: int, channels: int) -> tuple[Layer, Layer]:
    if isinstance(base, nn.Linear):
        return (
            nn.Linear(base.in_features, rank, bias=False),
            nn.Linear(rank, channels, bias=False),
        )
    size, stride, dilation = (
        cast(tuple[int, int], one) for one in (base.kernel_size, base.stride, base.dilation)
    )
    padding = cast("str | tuple[int, int]", base.padding)
    down = nn.Conv2d(base.in_channels, rank, size, stride, padding, dilation, bias=False)
    return down, nn.Conv2d(rank, channels, kernel_size=1, bias=False)


class LoRALayer(InjectedModule):
    """Add low-rank updates to a layer's output; shared by linear layers and convolutions.

    Attributes:
        lora: the updates by the name of their channels, "q" and "v" of a fused layer or "all".
    """

    weight: Tensor
    bias: Any  # a parameter or none; torch declares it differently in each kind of layer
    lora: nn.ModuleDict
    _channels = -1  # axis of the output's channels

    def _take(self, base: Layer, updates: Mapping[str, LowRank]) -> None:
        self.weight, self.bias = base.weight, base.bias
        self.lora = nn.ModuleDict(updates)

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's output with the updates."""
        output = super().forward(input)
        for update in self.updates().values():
            # In place it would be a write through a view, which OpenVINO does not convert.
            output = output + update.rows.spread(update(input), self._channels)
        return output

    def updates(self) -> dict[str, LowRank]:
        """Return the updates by the name of their channels."""
        return {name: cast(LowRank, update) for name, update in self.lora.items()}

    def updated_weight(self) -> Tensor:
        """Return the weight of a plain layer that computes the same, in float32.

        Raises:
            MergeError: no plain layer does.
        """
        # Autocast would round the product that the base's weight is kept from.
        with torch.autocast(self.weight.device.type, enabled=False):
            weight = self.weight.float()
            for update in self.updates().values():
                weight = weight + update.rows.spread(update.change(), -weight.ndim)
        return weight

    def _plain(self, base: Layer) -> Layer:
        base.weight = nn.Parameter(
            self.updated_weight().detach().to(self.weight.dtype), self.weight.requires_grad
        )
        base.bias = self.bias
        return base


class LoRALinear(LoRALayer, nn.Linear):
    """A linear layer with low-rank updates.

    Args:
        base: layer whose place it takes; its parameters are shared.
        updates: low-rank updates by the name of their channels.
    """

    def __init__(self, base: nn.Linear, updates: Mapping[str, LowRank]) -> None:
        super().__init__(base.in_features, base.out_features, device="meta")
        self._take(base, updates)

    def merged(self) -> nn.Linear:
        """Return the linear layer whose weight holds the updates."""
        plain = nn.Linear(self.in_features, self.out_features, device="meta")
        return cast(nn.Linear, self._plain(plain))


class LoRAConv2d(LoRALayer, nn.Conv2d):
    """A convolution with low-rank updates: A has its kernel, B is pointwise.

    Args:
        base: layer whose place it takes, of one group; its parameters are shared.
        updates: low-rank updates by the name of their channels.
    """

    _channels = -3

    def __init__(self, base: nn.Conv2d, updates: Mapping[str, LowRank]) -> None:
        super().__init__(**_geometry(base))
        self._take(base, updates)

    def merged(self) -> nn.Conv2d:
        """Return the convolution whose weight holds the updates."""
        return cast(nn.Conv2d, self._plain(nn.Conv2d(**_geometry(self))))


def _geometry(base: nn.Conv2d) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    return {name: getattr(base, name) for name in names} | {"device": "meta"}
