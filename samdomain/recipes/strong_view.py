"""Change the values of an image, and the place of nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from samdomain.errors import InputError
from samdomain.recipes.values import Values

_LEVELS = 255
_DRAWS = 8  # numbers that each change may use


@dataclass(frozen=True)
class StrongView(Values):
    """Change an image by photometric changes, each by chance, one after the other.

    All channels are treated alike, whatever they are. Every pixel stays where it is, so that the
    masks of an image are those of its strong view. Numbers are drawn for all changes, also for
    those that are left out: the same state of chance is the same view.

    Attributes:
        chance: chance of each change, 0 to 1.
        bits: bits of a value that posterising leaves.
        light: brightness moves by this share of white at most, up or down.
        contrast: contrast moves by this share at most, up or down.
        sharpening: differences to the neighbourhood grow by this share at most.
        solarised: values above this share of white are inverted; 1 inverts none.
        shadow: share of its light that a shaded band of the image keeps.

    Raises:
        InputError: the chance is no share, or no bit is left.

    Source: the changes of the official code of Zhang et al. (arXiv 2312.03502) (posterise,
    equalise, sharpen, solarise, brightness and contrast, shadow, half a chance each); its strengths
    are those of albumentations. A shadow is a polygon there and a band here.
    """

    chance: float = 0.5
    bits: int = 4
    light: float = 0.2
    contrast: float = 0.2
    sharpening: float = 0.5
    solarised: float = 0.5
    shadow: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what no view could be made by."""
        if not 0 <= self.chance <= 1:
            raise InputError(f"chance is {self.chance}: allowed is a share, 0 to 1")
        if self.bits < 1:
            raise InputError(f"{self.bits} bits leave nothing of an image: give 1 or more")

    def __call__(
        self, image: Float[Tensor, "c h w"], generator: torch.Generator
    ) -> Float[Tensor, "c h w"]:
        """Return the view of an image.

        Args:
            image: values from 0 (black) to 1 (white).
            generator: source of chance, on the CPU.
        """
        for change in self._changes():
            happens, *draws = torch.rand(_DRAWS, generator=generator).tolist()
            if happens < self.chance:
                image = change(image, draws).clamp(0, 1)
        return image

    def _changes(self) -> tuple[Callable[[Tensor, list[float]], Tensor], ...]:
        return (
            self._posterised,
            _equalised,
            self._sharpened,
            self._solarised,
            self._lit,
            self._shaded,
        )

    def _posterised(self, image: Tensor, draws: list[float]) -> Tensor:
        del draws
        step = 2 ** max(0, 8 - self.bits)
        return (image * _LEVELS).div(step, rounding_mode="floor") * step / _LEVELS

    def _sharpened(self, image: Tensor, draws: list[float]) -> Tensor:
        around = F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
        # The middle pixel is one of the nine; a sharpening kernel leaves it out.
        return image + draws[0] * self.sharpening * 9 / 8 * (image - around)

    def _solarised(self, image: Tensor, draws: list[float]) -> Tensor:
        del draws
        return torch.where(image > self.solarised, 1 - image, image)

    def _lit(self, image: Tensor, draws: list[float]) -> Tensor:
        contrast = 1 + (2 * draws[0] - 1) * self.contrast
        return image * contrast + (2 * draws[1] - 1) * self.light

    def _shaded(self, image: Tensor, draws: list[float]) -> Tensor:
        turn, middle, width = draws[0] * torch.pi, draws[1], 0.1 + 0.3 * draws[2]
        rows = torch.linspace(-0.5, 0.5, image.shape[1], device=image.device)[:, None]
        columns = torch.linspace(-0.5, 0.5, image.shape[2], device=image.device)
        across = rows * torch.cos(torch.tensor(turn)) + columns * torch.sin(torch.tensor(turn))
        inside = (across - (middle - 0.5)).abs() < width / 2
        return torch.where(inside, image * self.shadow, image)


def _equalised(image: Tensor, draws: list[float]) -> Tensor:
    """Spread the values of each channel so that all are about as frequent."""
    del draws
    levels = (image * _LEVELS).round().long().clamp(0, _LEVELS)
    channels: list[Tensor] = []
    for channel in levels:
        share = torch.bincount(channel.flatten(), minlength=_LEVELS + 1).cumsum(0).to(image)
        lowest = share[int(channel.min())]
        spread = (share - lowest) / (share[-1] - lowest).clamp_min(1)
        flat = bool(channel.min() == channel.max())
        channels.append(image[len(channels)] if flat else spread.clamp_min(0)[channel])
    return torch.stack(channels)
