"""How images may look otherwise and show the same: looks of a fixed number, as views are."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Num, Shaped
from torch import Tensor

from samdomain.errors import InputError

_PAIR = 4  # dimensions of (T, C, H, W)
_WHITE = 255.0


class Looks(ABC):
    """Give each image one of several looks; its masks stay as they are, unless things move.

    A look is a function of the image and of its number alone: features of each can be kept.

    Attributes:
        moves: whether things are elsewhere in some of the looks, so that prompts would not fit.
    """

    moves: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of looks; look 0 is the image as it is."""

    @abstractmethod
    def __call__(self, image: Num[Tensor, "*t c h w"], look: int) -> Num[Tensor, "*t c h w"]:
        """Return the image in a look.

        Raises:
            InputError: these looks are not for such an image.
        """

    def masks(self, masks: Shaped[Tensor, "... h w"], look: int) -> Shaped[Tensor, "... y x"]:
        """Return the masks of an image in a look."""
        del look
        return masks


@dataclass(frozen=True)
class AsTheyAre(Looks):
    """Leave images as they are."""

    def __len__(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, image: Num[Tensor, "*t c h w"], look: int) -> Num[Tensor, "*t c h w"]:
        """Return the image."""
        del look
        return image


@dataclass(frozen=True)
class Light:
    """Another light on a scene: gamma, contrast, and the weight of each channel.

    Attributes:
        gamma: exponent of the values between black and white; above 1 darkens.
        contrast: factor of the distance from the middle.
        channels: factors of the first, middle and last channel; those between are interpolated.
    """

    gamma: float = 1.0
    contrast: float = 1.0
    channels: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, image: Num[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        """Return an image of 0 to 255 in this light, its values rounded."""
        values = (image.float() / _WHITE).clamp(0, 1) ** self.gamma
        known = torch.tensor([self.channels], device=image.device)[None]
        factors = torch.nn.functional.interpolate(
            known, len(image), mode="linear", align_corners=True
        )[0, 0]
        values = ((values - 0.5) * self.contrast + 0.5) * factors[:, None, None]
        return (values.clamp(0, 1) * _WHITE).round()


LIGHTS: tuple[Light, ...] = (
    Light(),
    Light(gamma=1.3, channels=(0.94, 1.0, 1.06)),  # low sun, blue shade
    Light(gamma=0.8, contrast=0.85, channels=(1.05, 1.0, 0.95)),  # haze, dry ground
    Light(contrast=1.2, channels=(0.97, 1.04, 0.97)),  # clear air, fresh green
)
"""Lights that two dates of a place may differ by; the first is none."""


@dataclass(frozen=True)
class Temporal(Looks):
    """Swap the dates of a pair, and give each date a light of its own.

    What changed stays so in either order and in any light. Each light has to go through the
    frozen part of the encoder once; swapping costs nothing.

    Attributes:
        lights: number of `LIGHTS` that a date may have, from the first on.
        swap: the dates may change places.
    """

    lights: int = 1
    swap: bool = True

    def __post_init__(self) -> None:
        """Refuse lights that there are not."""
        if not 1 <= self.lights <= len(LIGHTS):
            raise InputError(f"{self.lights} lights: allowed are 1 to {len(LIGHTS)}")

    def __len__(self) -> int:
        """Return the number of combinations."""
        return self.lights**2 * (2 if self.swap else 1)

    def __call__(self, image: Num[Tensor, "*t c h w"], look: int) -> Num[Tensor, "*t c h w"]:
        """Return a pair (T=2, C, H, W) in a look; see `Looks`."""
        if image.ndim != _PAIR:
            raise InputError(
                f"looks of two dates are for pairs (T=2, C, H, W), this image is "
                f"{tuple(image.shape)}: leave data.looks out, or give pairs"
            )
        rest, first = divmod(look, self.lights)
        swapped, second = divmod(rest, self.lights)
        if first or second:
            image = torch.stack([LIGHTS[first](image[0]), LIGHTS[second](image[1])])
        return image.flip(0) if swapped else image
