"""Make box prompts from masks, exact ones and hurried ones."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from samdomain.masks import tight_boxes
from samdomain.prompting.chosen import check_occupied
from samdomain.sam import Prompts

Noise = Callable[[tuple[int, int], torch.Generator], Tensor]
"""Draw numbers around 0 in a shape, of which 1 stands for the share of a box's side."""

Masks = Bool[Tensor, "n h w"] | Sequence[Bool[Tensor, "_ _"]]


def gaussian(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw with mean 0 and standard deviation 1, as SAM's training does."""
    return torch.randn(shape, generator=generator)


def uniform(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw between -1 and 1, as SAM 2's training does."""
    return torch.rand(shape, generator=generator) * 2 - 1


def boxes_around(masks: Masks, images: Int[Tensor, " n"] | None = None) -> Prompts:
    """Return the tight box around each mask.

    Its right and bottom ends are exclusive: a mask of one pixel has a box of width 1.

    Args:
        masks: true masks, in pixels of their original images.
        images: image of each mask; the first by default.

    Raises:
        PromptError: a mask is empty.
    """
    return Prompts(boxes=_tight(masks), images=images)


def rough_boxes_around(
    masks: Masks,
    generator: torch.Generator,
    *,
    images: Int[Tensor, " n"] | None = None,
    share: float = 0.1,
    limit_px: float = 20.0,
    noise: Noise = gaussian,
) -> Prompts:
    """Return a box around each mask as a hurried hand draws it.

    Each side moves by noise times a share of the box's width or height, at most by the limit.
    A box stays in its image, around the middle of its mask, and 1 pixel wide at least.

    Args:
        masks: true masks, in pixels of their original images.
        generator: source of chance, on the CPU.
        images: image of each mask; the first by default.
        share: share of the width or height that a noise of 1 stands for.
        limit_px: largest move, in pixels of the original image (the source's images have a
            longer side of 1024).
        noise: what is drawn; `gaussian` or `uniform`.

    Raises:
        PromptError: a mask is empty.

    Source: Kirillov et al., Segment Anything (2023), appendix A, "Interactive training".
    """
    boxes = _tight(masks)
    corners = boxes.reshape(-1, 2, 2)
    side = corners[:, 1] - corners[:, 0]
    moves = noise((len(boxes), 4), generator).to(boxes) * side.repeat(1, 2) * share
    moved = (boxes + moves.clamp(-limit_px, limit_px)).reshape(-1, 2, 2)
    middle = corners.mean(dim=1)
    sizes = boxes.new_tensor([(mask.shape[1], mask.shape[0]) for mask in masks]).reshape(-1, 2)
    low = moved[:, 0].clamp_min(0).minimum(middle - 0.5)
    high = moved[:, 1].minimum(sizes).maximum(middle + 0.5)
    return Prompts(boxes=torch.cat([low, high], dim=1), images=images)


def _tight(masks: Masks) -> Float[Tensor, "n 4"]:
    check_occupied(masks)
    if isinstance(masks, Tensor):
        return tight_boxes(masks)
    return torch.cat([torch.zeros(0, 4), *(tight_boxes(mask[None]).cpu() for mask in masks)])
