"""SAM-CD's latent branch: what two dates of a scene have in common, without labels."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.errors import InputError


class LatentBranch(nn.Module):
    """Sum a pyramid up in a few latent classes for each cell; the same weights for every date.

    Each map has its own 1x1 convolution, and their results are added on the finest grid: this
    is one 1x1 convolution of all maps, resampled and concatenated, as the paper draws it. With
    a single map it is what the published code does, which reads the decoder's last map only.

    Args:
        channels: channels of each map by its stride in input pixels.
        latents: number of latent classes; 8 in SAM-CD.
        temperature: divisor of the logits in `normalised`: 3 in SAM-CD's training. It scales
            the size of `samdomain.losses.temporal_loss` too.

    Raises:
        InputError: there is no map, no latent, or the temperature is not above 0.

    Source: Ding et al., Adapting Segment Anything Model for Change Detection in VHR Remote
    Sensing Images (2024), section III-C.
    """

    def __init__(
        self, channels: Mapping[int, int], latents: int = 8, temperature: float = 3.0
    ) -> None:
        super().__init__()
        if not channels or latents < 1 or temperature <= 0:
            raise InputError(
                f"a latent branch cannot have maps {dict(channels)}, {latents} latents and "
                f"temperature {temperature}: give at least one map, one latent, and a temperature "
                "above 0"
            )
        self.latents = latents
        self.temperature = temperature
        self.strides = tuple(sorted(channels))
        finest = self.strides[0]
        # One bias is enough for a sum.
        self.maps = nn.ModuleDict(
            {
                str(stride): nn.Conv2d(channels[stride], latents, 1, bias=stride == finest)
                for stride in self.strides
            }
        )

    def forward(self, pyramid: Mapping[int, Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b k h w"]:
        """Return the raw latents: logits on the grid of the finest map.

        Args:
            pyramid: maps (B, C, H / stride, W / stride) by stride, as `samdomain.pyramid`
                returns them.

        Raises:
            InputError: a map is missing.
        """
        if missing := set(self.strides) - pyramid.keys():
            raise InputError(
                f"the latent branch misses the maps at strides {sorted(missing)}: it was given "
                f"{sorted(pyramid)}"
            )
        finest, *coarser = self.strides
        raw = self.maps[str(finest)](pyramid[finest])
        for stride in coarser:
            latents = self.maps[str(stride)](pyramid[stride])
            size = raw.shape[-2:]
            raw = raw + F.interpolate(latents, size, mode="bilinear", align_corners=False)
        return raw

    def normalised(self, raw: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """Return the share of each latent class in each cell, softmax(raw / temperature)."""
        return (raw / self.temperature).softmax(dim=1)


class LatentAttention(nn.Module):
    """Weigh the channels and cells of a change map by the latents of both dates.

    Args:
        latents: number of latent classes of each date.
        channels: channels of the map that is weighed.
        hidden: channels between.
        norm: makes the normalisation of so many channels.

    Source: as `LatentBranch`. The paper feeds normalised latents, the published code raw ones;
    both will do here.
    """

    def __init__(
        self,
        latents: int = 8,
        channels: int = 16,
        hidden: int = 4,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * latents, hidden, kernel_size=1),
            norm(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(
        self, before: Float[Tensor, "b k h w"], after: Float[Tensor, "b k h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Return factors between 0 and 1.

        Args:
            before: latents of the first date, raw or normalised.
            after: latents of the second date, likewise.
        """
        return self.layers(torch.cat([before, after], dim=1))
