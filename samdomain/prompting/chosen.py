"""Choose a pixel of a region, and tell where it lies."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.masks import depth

Pick = Callable[[Tensor, torch.Generator], tuple[int, int]]
"""Choose a pixel (row, column) of a region (H, W) that is not empty."""

# A pixel's centre lies half a pixel from its corner.
CENTRE = 0.5


def uniform_pixel(region: Bool[Tensor, "h w"], generator: torch.Generator) -> tuple[int, int]:
    """Choose any pixel of a region, each as likely."""
    pixels = region.nonzero()
    row, column = pixels[int(torch.randint(len(pixels), (1,), generator=generator))].tolist()
    return row, column


def central_pixel(region: Bool[Tensor, "h w"], _generator: torch.Generator) -> tuple[int, int]:
    """Choose the pixel that lies deepest inside a region, the first of equals."""
    return divmod(int(depth(region).argmax()), region.shape[1])


def check_occupied(masks: Sequence[Tensor] | Tensor) -> None:
    """Refuse masks without a pixel: nothing can be drawn around or clicked on.

    Raises:
        PromptError: a mask is empty.
    """
    for number, mask in enumerate(masks):
        if not mask.any():
            raise PromptError(f"mask {number} is empty: leave out masks without a pixel")
