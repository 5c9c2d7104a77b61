"""Make box prompts from masks, exact ones and hurried ones."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from samdomain.masks import tight_boxes
from samdomain.prompting.chosen import check_occupied
from samdomain.sam import Frame, Prompts

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
    sizes = [(mask.shape[0], mask.shape[1]) for mask in masks]
    moves = noise((len(masks), 4), generator) * share
    return Prompts(boxes=_moved(_tight(masks), moves, limit_px, sizes), images=images)


def roughened(
    prompts: Prompts,
    frame: Frame,
    generator: torch.Generator,
    *,
    share: float = 0.1,
    limit_px: float = 20.0,
) -> Prompts:
    """Return box prompts whose sides a hurried hand moved; see `rough_boxes_around`.

    Args:
        prompts: prompts with boxes, or without any, which stay as they are.
        frame: where the images lie, as `Embedding.frame`.
        generator: source of chance, on the CPU.
        share: share of the width or height that is one standard deviation; 0 moves nothing.
        limit_px: largest move, in pixels of the original image.
    """
    if prompts.boxes is None or not share:
        return prompts
    sizes = [frame.sizes[image] for image in prompts.image_indices().tolist()]
    moves = gaussian((len(prompts), 4), generator) * share
    return replace(prompts, boxes=_moved(prompts.boxes, moves, limit_px, sizes))


def _moved(
    boxes: Tensor, moves: Tensor, limit_px: float, sizes: Sequence[tuple[int, int]]
) -> Tensor:
    """Move each side by a share of its box's length, inside the image of (rows, columns)."""
    corners = boxes.reshape(-1, 2, 2)
    side = corners[:, 1] - corners[:, 0]
    steps = (moves.to(boxes) * side.repeat(1, 2)).clamp(-limit_px, limit_px)
    moved = (boxes + steps).reshape(-1, 2, 2)
    middle = corners.mean(dim=1)
    ends = boxes.new_tensor([size[::-1] for size in sizes]).reshape(-1, 2)  # as x, y
    low = moved[:, 0].clamp_min(0).minimum(middle - 0.5)
    high = moved[:, 1].minimum(ends).maximum(middle + 0.5)
    return torch.cat([low, high], dim=1)


def _tight(masks: Masks) -> Float[Tensor, "n 4"]:
    check_occupied(masks)
    if isinstance(masks, Tensor):
        return tight_boxes(masks)
    return torch.cat([torch.zeros(0, 4), *(tight_boxes(mask[None]).cpu() for mask in masks)])
