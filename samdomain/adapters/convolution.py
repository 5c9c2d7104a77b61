"""SAM-CD's adaptor: a narrow 1x1 convolution on each map of a pyramid."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from samdomain.errors import InputError

Pyramid = Mapping[int, Float[Tensor, "b _ _ _"]]


class ConvAdapter(nn.Module):
    """Bring the maps of a frozen encoder to the channels that a head works with.

    Each map has its own 1x1 convolution without bias, batch normalisation and ReLU.

    Args:
        channels: channels of each incoming map by its stride in input pixels.
        ratio: channels of each outgoing map as a share of the incoming one's; SAM-CD has a
            quarter, as 640 to 160.

    Raises:
        InputError: there is no map, or a map would be left without a channel.

    Source: Ding et al., Adapting Segment Anything Model for Change Detection in VHR Remote
    Sensing Images (2024), section III-B.
    """

    def __init__(self, channels: Mapping[int, int], ratio: float = 0.25) -> None:
        super().__init__()
        self.channels = {stride: int(count * ratio) for stride, count in channels.items()}
        if not channels or min(self.channels.values()) < 1:
            raise InputError(
                f"ConvAdapter was given channels {dict(channels)} and ratio {ratio}: give at "
                "least one map, and a ratio that leaves each a channel"
            )
        # torch names submodules by strings.
        self.maps = nn.ModuleDict(
            {
                str(stride): nn.Sequential(
                    nn.Conv2d(channels[stride], narrow, kernel_size=1, bias=False),
                    nn.BatchNorm2d(narrow),
                    nn.ReLU(),
                )
                for stride, narrow in self.channels.items()
            }
        )

    def forward(self, pyramid: Pyramid) -> dict[int, Float[Tensor, "b _ _ _"]]:
        """Return the narrow map of each stride; maps of other strides are left out.

        Args:
            pyramid: maps (B, C, H / stride, W / stride) by stride, as
                `samdomain.pyramid` returns them.

        Raises:
            InputError: a map is missing.
        """
        if missing := self.channels.keys() - pyramid.keys():
            raise InputError(
                f"ConvAdapter misses the maps at strides {sorted(missing)}: it was given "
                f"{sorted(pyramid)}"
            )
        return {stride: self.maps[str(stride)](pyramid[stride]) for stride in self.channels}
