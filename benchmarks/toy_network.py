"""Networks for measurements that need no weights; they stand here so that workers can load them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class BoxMean:
    """The mean brightness within 4 pixels: the same everywhere, and next to free."""

    def __call__(self, chips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, 1, rows, columns) of chips (B, bands, rows, columns)."""
        bright = torch.from_numpy(chips).mean(dim=1, keepdim=True) / 255
        return nn.functional.avg_pool2d(bright, 9, 1, 4).numpy()


class Convolutions:
    """A few convolutions with fixed random weights: dear enough to be worth sharing out."""

    def __init__(self) -> None:
        made = torch.Generator().manual_seed(0)
        self._layers = [
            torch.randn(wide, deep, 3, 3, generator=made) / (3 * deep**0.5)
            for deep, wide in ((3, 24), (24, 24), (24, 24), (24, 1))
        ]

    def __call__(self, chips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (B, 1, rows, columns) of chips (B, 3, rows, columns)."""
        with torch.no_grad():
            seen = torch.from_numpy(chips) / 255
            for weight in self._layers:
                seen = nn.functional.conv2d(seen.relu(), weight, padding=1)
            return seen.sigmoid().numpy()
