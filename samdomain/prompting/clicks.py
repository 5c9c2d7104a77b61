"""Make clicks from masks: on and beside objects, in their centre, and where a prediction errs."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.prompting.boxes import Masks
from samdomain.prompting.chosen import (
    CENTRE,
    Pick,
    central_pixel,
    check_occupied,
    uniform_pixel,
)
from samdomain.sam import Prompts


def clicks_on(
    masks: Masks,
    generator: torch.Generator,
    *,
    images: Int[Tensor, " n"] | None = None,
    inside: int = 5,
    outside: int = 5,
) -> Prompts:
    """Return clicks on each mask and beside it, anywhere alike; a pixel may come twice.

    A mask that fills its image gets no click beside it.

    Args:
        masks: true masks, in pixels of their original images.
        generator: source of chance, on the CPU.
        images: image of each mask; the first by default.
        inside: clicks on each mask.
        outside: clicks beside each mask.

    Raises:
        PromptError: a mask is empty, or no click is asked for.

    Source: Zhang et al., Improving the Generalization of Segmentation Foundation Model under
    Distribution Shift via Weakly Supervised Adaptation (arXiv 2312.03502), 5 and 5 clicks.
    """
    if min(inside, outside) < 0 or inside + outside == 0:
        raise PromptError(f"{inside} clicks inside and {outside} outside: ask for one at least")
    check_occupied(masks)
    clicks: list[Tensor] = []
    labels: list[Tensor] = []
    for mask in masks:
        own = _draw(mask, inside, generator)
        beside = _draw(~mask, outside, generator)
        clicks.append(torch.cat([own, beside]))
        labels.append(torch.tensor([1] * len(own) + [0] * len(beside), device=mask.device))
    if len({len(one) for one in clicks}) != 1:  # as many as masks: ragged, or none
        return Prompts(points=clicks, labels=labels, images=images)
    return Prompts(points=torch.stack(clicks), labels=torch.stack(labels), images=images)


def central_clicks(masks: Masks, images: Int[Tensor, " n"] | None = None) -> Prompts:
    """Return one click on each mask, where it is farthest from its outside.

    Args:
        masks: true masks, in pixels of their original images.
        images: image of each mask; the first by default.

    Raises:
        PromptError: a mask is empty.
    """
    check_occupied(masks)
    pixels = [central_pixel(mask, torch.default_generator) for mask in masks]
    points = torch.tensor([(column, row) for row, column in pixels]) + CENTRE
    return Prompts(
        points=points.reshape(-1, 1, 2),
        labels=torch.ones(len(pixels), 1, dtype=torch.long),
        images=images,
    )


def corrective_clicks(
    true: Masks,
    predicted: Masks,
    generator: torch.Generator,
    *,
    images: Int[Tensor, " n"] | None = None,
    pick: Pick = uniform_pixel,
) -> Prompts:
    """Return one click on each prediction where it errs, labelled with the truth.

    The click falls on what was missed (label 1) or on what was too much (label 0). Where
    nothing is wrong it falls on the object, or beside it if there is none.

    Args:
        true: true masks, in pixels of their original images.
        predicted: predicted masks of the same sizes.
        generator: source of chance, on the CPU.
        images: image of each mask; the first by default.
        pick: which pixel of the error: `uniform_pixel` as in SAM's training, or
            `central_pixel` as evaluations do.

    Source: Kirillov et al., Segment Anything (2023), appendix A, "Interactive training".
    """
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    for mask, answer in zip(true, predicted, strict=True):
        row, column = pick(_region(mask, answer), generator)
        points.append((column + CENTRE, row + CENTRE))
        labels.append(int(mask[row, column]))
    return Prompts(
        points=torch.tensor(points).reshape(-1, 1, 2),
        labels=torch.tensor(labels, dtype=torch.long).reshape(-1, 1),
        images=images,
    )


def _region(true: Bool[Tensor, "h w"], predicted: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    wrong = true ^ predicted
    if wrong.any():
        return wrong
    return true if true.any() else ~true


def _draw(region: Bool[Tensor, "h w"], number: int, generator: torch.Generator) -> Tensor:
    pixels = region.nonzero()
    if not len(pixels):
        return torch.zeros(0, 2, device=region.device)
    chosen = torch.randint(len(pixels), (number,), generator=generator).to(region.device)
    return pixels[chosen].flip(1) + CENTRE
