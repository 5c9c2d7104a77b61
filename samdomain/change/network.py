"""SAM-CD's network behind the encoder: maps of two dates in, the logit of a change out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.latent import LatentAttention, LatentBranch

NormName = Literal["batch", "group"]
Joining = Literal["ordered", "unordered"]
Norm = Callable[[int], nn.Module]
"""Makes the normalisation of so many channels."""

Maps = Mapping[int, Float[Tensor, "n _ _ _"]]
"""Maps (N, C, S / stride, S / stride) by stride in input pixels; N = 2 B dates of B pairs, the two
of a pair beside one another."""

_GROUPS = 8
_ATTENDED = 16  # channels that the latents weigh, in the official code


def group_norm(channels: int) -> nn.Module:
    """Return a normalisation that knows neither the batch nor running statistics."""
    return nn.GroupNorm(math.gcd(_GROUPS, channels), channels)


NORMS: Mapping[NormName, Norm] = {"batch": nn.BatchNorm2d, "group": group_norm}


def joined(maps: Float[Tensor, "n c h w"], joining: Joining) -> Float[Tensor, "b c2 h w"]:
    """Put the maps of the two dates of each pair into one map of twice the channels.

    "ordered" puts one behind the other; "unordered" puts the distance behind the mean, so that
    what follows cannot tell which date was first.
    """
    before, after = maps[0::2], maps[1::2]
    if joining == "ordered":
        return torch.cat([before, after], dim=1)
    return torch.cat([(before + after) / 2, (before - after).abs()], dim=1)


class Fusion(nn.Module):
    """Bring a coarse map onto the grid of one twice as fine, and mix both.

    Args:
        coarse: channels of the coarse map.
        fine: channels of the fine map.
        outside: channels of the result.
        norm: see `Norm`.
    """

    def __init__(self, coarse: int, fine: int, outside: int, norm: Norm) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(coarse, coarse, kernel_size=2, stride=2)
        self.mix = nn.Sequential(
            _convolved(coarse + fine, outside, norm), _convolved(outside, outside, norm)
        )

    def forward(
        self, coarse: Float[Tensor, "n c h w"], fine: Float[Tensor, "n d h2 w2"]
    ) -> Float[Tensor, "n e h2 w2"]:
        """Return the mixed map on the fine grid."""
        return self.mix(torch.cat([self.up(coarse), fine], dim=1))


class DateDecoder(nn.Module):
    """Adapt the maps of a date by 1x1 convolutions, and fuse them as a U-Net does.

    Args:
        channels: channels of each map by its stride; each stride is twice the one before.
        widths: channels that each map is brought to, the finest first.
        width: channels of the finest result; coarser ones have the width of the next finer map.
        norm: see `Norm`.

    Attributes:
        channels: channels of each result by its stride.
    """

    def __init__(
        self, channels: Mapping[int, int], widths: Sequence[int], width: int, norm: Norm
    ) -> None:
        super().__init__()
        self.strides = tuple(sorted(channels))
        own = dict(zip(self.strides, widths, strict=True))
        self.adaptors = nn.ModuleDict(
            {str(s): _convolved(channels[s], own[s], norm, size=1) for s in self.strides}
        )
        outside = dict(zip(self.strides, (width, *widths[:-1]), strict=True))
        self.channels = {stride: outside[stride] for stride in self.strides[:-1]}
        fusions: dict[str, nn.Module] = {}
        coarse = own[self.strides[-1]]
        for stride in reversed(self.strides[:-1]):
            fusions[str(stride)] = Fusion(coarse, own[stride], outside[stride], norm)
            coarse = outside[stride]
        self.fusions = nn.ModuleDict(fusions)

    def forward(self, maps: Maps) -> dict[int, Float[Tensor, "n _ _ _"]]:
        """Return the fused map at each stride but the coarsest."""
        *finer, coarsest = self.strides
        current, found = self.adaptors[str(coarsest)](maps[coarsest]), dict[int, Tensor]()
        for stride in reversed(finer):
            fine = self.adaptors[str(stride)](maps[stride])
            found[stride] = current = self.fusions[str(stride)](current, fine)
        return found


class Residual(nn.Module):
    """Add two convolutions of a map to the map.

    Args:
        channels: channels of the map.
        norm: see `Norm`.
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolved(channels, channels, norm),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            norm(channels),
        )

    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the sum, negative values cut off."""
        return F.relu(maps + self.layers(maps))


class ChangeBranch(nn.Module):
    """Tell changes from the joined maps of both dates.

    Args:
        inside: channels of the joined maps.
        hidden: channels between; other than those inside, a 1x1 convolution brings them there.
        blocks: residual blocks of two convolutions each.
        norm: see `Norm`.
        prior: probability of a change that training begins with, between 0 and 1. Near that of
            the data it saves the steps in which only what did not change is learned; see Lin et
            al., Focal Loss for Dense Object Detection (2017), section 3.3.
    """

    def __init__(
        self, inside: int, hidden: int, blocks: int, norm: Norm, prior: float = 0.5
    ) -> None:
        super().__init__()
        entry = nn.Identity() if inside == hidden else _convolved(inside, hidden, norm, size=1)
        self.blocks = nn.Sequential(entry, *(Residual(hidden, norm) for _ in range(blocks)))
        self.attended = _convolved(hidden, _ATTENDED, norm, size=1)
        self.logit = nn.Conv2d(_ATTENDED, 1, kernel_size=1)
        self.logit.bias = nn.Parameter(torch.tensor([math.log(prior / (1 - prior))]))

    def forward(
        self, maps: Float[Tensor, "b c h w"], attention: Float[Tensor, "b d h w"] | None
    ) -> Float[Tensor, "b 1 h w"]:
        """Return logits; attention weighs channels and cells of the last map before them."""
        found = self.attended(self.blocks(maps))
        return self.logit(found if attention is None else found * attention)


class Latents(nn.Module):
    """Sum each date up in latent classes, and weigh the change by those of both.

    Args:
        branch: makes raw latents, with the same weights for both dates.
        norm: see `Norm`.
        joining: how the dates meet; see `joined`.
        normalised: the attention reads softmax(latents / temperature) as the paper has it, or
            raw latents as the official code does.
    """

    def __init__(
        self, branch: LatentBranch, norm: Norm, joining: Joining, *, normalised: bool
    ) -> None:
        super().__init__()
        self.branch = branch
        self.attention = LatentAttention(branch.latents, _ATTENDED, norm=norm)
        self.joining: Joining = joining
        self.normalised = normalised

    def forward(self, maps: Maps) -> tuple[Float[Tensor, "n k h w"], Float[Tensor, "b c h w"]]:
        """Return raw latents of each date, and factors between 0 and 1 of each pair."""
        raw = self.branch(maps)
        read = self.branch.normalised(raw) if self.normalised else raw
        return raw, self.attention(*joined(read, self.joining).chunk(2, dim=1))


class ChangeNetwork(nn.Module):
    """Join decoder, latents and change branch.

    Args:
        decoder: fuses the maps of each date, both dates of all pairs in one batch.
        latents: latent classes; None for a network without them.
        branch: tells changes.
        read: strides of the decoder's results that the branch reads, brought to the finest.
        joining: how the dates meet; see `joined`.

    Source: Ding et al., Adapting Segment Anything Model for Change Detection in VHR Remote
    Sensing Images (2024), section III; where its official code differs, so do the presets.
    """

    def __init__(
        self,
        decoder: DateDecoder,
        latents: Latents | None,
        branch: ChangeBranch,
        read: Sequence[int],
        joining: Joining,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.latents = latents
        self.branch = branch
        self.read = tuple(sorted(read))
        self.joining: Joining = joining

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the maps that it reads."""
        return self.decoder.strides

    def forward(
        self, maps: Maps
    ) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "n k h w"] | None]:
        """Return the logits of changes, and the raw latents of each date, on the finest grid."""
        fused = self.decoder(maps)
        size = fused[self.read[0]].shape[-2:]
        together = torch.cat([_resized(fused[stride], size) for stride in self.read], dim=1)
        raw, attention = (None, None) if self.latents is None else self.latents(fused)
        return self.branch(joined(together, self.joining), attention), raw


def _convolved(inside: int, outside: int, norm: Norm, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel_size=size, padding=size // 2, bias=False),
        norm(outside),
        nn.ReLU(),
    )


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, (size[0], size[1]), mode="bilinear", align_corners=False)
