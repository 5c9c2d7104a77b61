"""Conv-LoRA: convolutions at several scales between the two thin layers of an update."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.attention import Rows
from samdomain.errors import InputError, MergeError
from samdomain.lora.layers import Layer, LowRank


class ExpertLowRank(LowRank):
    """Bring local knowledge of images into a low-rank update.

    Between A and B, an expert's 3x3 convolution runs on the map enlarged by its scale, and
    the result is brought back to the map's size. A gate with noise in training picks one expert
    for each map of the batch; a window of an encoder's attention is a map of its own. The
    result is weighted by the gate's probability, so that the gate learns.

    Args:
        base: see `LowRank`.
        rows: see `LowRank`.
        rank: see `LowRank`.
        scale: see `LowRank`.
        dropout: see `LowRank`.
        scales: scale of each expert.

    Source: Zhong et al., Convolution Meets LoRA: Parameter Efficient Finetuning for Segment
    Anything Model (2024), section 3.2; gate of Shazeer et al. (2017) with one expert.
    """

    def __init__(
        self,
        base: Layer,
        rows: Rows,
        rank: int,
        scale: float,
        dropout: float,
        scales: Sequence[int],
    ) -> None:
        super().__init__(base, rows, rank, scale, dropout)
        self.scales = tuple(scales)
        self.is_map = isinstance(base, nn.Conv2d)
        with torch.device(base.weight.device):
            self.experts = nn.ModuleList(nn.Conv2d(rank, rank, 3, padding=1) for _ in scales)
            self.gate = nn.Linear(rank, len(self.scales))
            self.noise = nn.Linear(rank, len(self.scales))
        self.to(base.weight.dtype)
        self.importance: Tensor | None = None

    def between(self, low: Tensor) -> Tensor:
        """Return the few channels after the chosen expert of each map, of the same shape."""
        if self.is_map:
            return self._mix(low)
        grid = low if low.ndim == 4 else _square(low)  # noqa: PLR2004 - (b, h, w, r)
        return self._mix(grid.movedim(-1, 1)).movedim(1, -1).reshape(low.shape)

    def change(self) -> Tensor:
        """Refuse: what is added depends on the input."""
        raise MergeError("Conv-LoRA depends on its input, no plain layer equals it")

    def _mix(self, maps: Tensor) -> Tensor:
        chosen, weight = self._choose(maps)
        mixed = torch.zeros_like(maps)
        for i, (expert, scale) in enumerate(zip(self.experts, self.scales, strict=True)):
            mine = (chosen == i).nonzero().flatten()
            result = _at_scale(expert, maps[mine], scale) * weight[mine, i, None, None, None]
            mixed = mixed.index_add(0, mine, result.to(mixed.dtype))
        return mixed

    def _choose(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the expert of each map (B), and the weights of all (B, E)."""
        mean = maps.mean(dim=(2, 3))
        scores = self.gate(mean)
        if self.training:
            scores = scores + torch.randn_like(scores) * F.softplus(self.noise(mean))
        weight = scores.softmax(dim=-1)
        self.importance = weight.sum(dim=0) if self.training else None
        return weight.argmax(dim=-1), weight

    def __getstate__(self) -> dict[str, Any]:
        # A tensor with a graph can be neither copied nor pickled.
        return self.__dict__ | {"importance": None}


def balance_loss(model: nn.Module) -> Tensor:
    """Return how unevenly the gates of Conv-LoRA used their experts in the last forward pass.

    It is the squared coefficient of variation of the experts' summed weights, averaged over
    all gates: 0 where all are used alike. Add it to the training loss with a small weight.

    Args:
        model: model in training mode that has run forward.

    Raises:
        InputError: the model has no gates that ran in training mode.

    Source: Shazeer et al., Outrageously Large Neural Networks (2017), section 4.
    """
    gates = [module for module in model.modules() if isinstance(module, ExpertLowRank)]
    spread = [
        one.importance.var(correction=0) / one.importance.mean().square()
        for one in gates
        if one.importance is not None
    ]
    if not spread:
        raise InputError(
            f"no gate of {len(gates)} ran in training mode: add ConvLoRA to the model, call "
            "train() and run it forward first"
        )
    return torch.stack(spread).mean()


def _at_scale(expert: nn.Module, maps: Tensor, scale: int) -> Tensor:
    if not len(maps):
        # No map chose this expert. Its parameters stay in the graph, with gradients of 0, so
        # that processes that train together agree on which parameters there are.
        return maps + sum(one.sum() for one in expert.parameters()) * 0
    if scale == 1:
        return expert(maps)
    size = maps.shape[2:]
    enlarged = F.interpolate(maps, scale_factor=scale, mode="bilinear", align_corners=False)
    return F.interpolate(expert(enlarged), size=size, mode="bilinear", align_corners=False)


def _square(tokens: Tensor) -> Tensor:
    side = math.isqrt(tokens.shape[1])
    if side * side != tokens.shape[1]:
        raise InputError(
            f"Conv-LoRA was given {tokens.shape[1]} tokens, which fill no square map: give it "
            "parts of the encoder only"
        )
    return tokens.unflatten(1, (side, side))
