"""A toy model whose epochs are known: it marks what is brighter than a limit, within a box."""

import pytest
import torch
from torch import Tensor

from samdomain.losses import mask_iou
from samdomain.recipes.agreement import agreement, kept, overlap
from samdomain.sam import Frame, Prediction

NUMBER, SIDE = 24, 64
ROWS, COLUMNS = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
DISC = (ROWS - 32) ** 2 + (COLUMNS - 32) ** 2 < 20**2
BOX = (ROWS >= 8) & (ROWS < 56) & (COLUMNS >= 8) & (COLUMNS < 56)
# Strong views are darker or brighter, each image has its own.
LIGHT = torch.linspace(0.85, 1.25, NUMBER)[:, None, None]
# The source misses the dim side of an object; training finds it, then goes on to all of the box.
SOURCE = 0.75
EPOCHS = (0.74, 0.6, 0.5, 0.45, 0.35, 0.2, 0.1, -1.0)


def images() -> Tensor:
    """Discs that are dim on their left and bright on their right, on a dark ground, with noise."""
    noise = torch.randn(NUMBER, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    disc = 0.6 + 0.4 * ((COLUMNS - 12) / 40).clamp(0, 1)
    return torch.where(DISC, disc, 0.25) + 0.05 * noise


def prediction(masks: Tensor) -> Prediction:
    """An answer whose masks these are."""
    logits = torch.where(masks, 1.0, -1.0)[:, None]
    number = len(masks)
    frame = Frame(((SIDE, SIDE),) * number, SIDE)
    return Prediction(logits, torch.ones(number, 1), torch.arange(number), frame)


def answer(limit: float, light: Tensor | float = 1.0) -> Prediction:
    """What a model with a limit says of the images in a light."""
    return prediction((images() * light > limit) & BOX)


def told(limit: float) -> tuple[Tensor, Tensor, Tensor]:
    """Agreement of a model's views, its overlap with the source, and what it keeps of it."""
    weak, source = answer(limit), answer(SOURCE)
    views = overlap(answer(limit, LIGHT), weak)
    return views, overlap(weak, source), kept(weak, source, answer(SOURCE, LIGHT))


def truth(limit: float) -> float:
    """Mean IoU of a model with the discs."""
    return float(mask_iou(answer(limit).low_res[:, 0], DISC.float().expand(NUMBER, -1, -1)).mean())


def test_neither_the_first_epochs_nor_a_collapse_is_chosen() -> None:
    """One of the best is; by the plain overlap with the source it would be the first."""
    figures = {limit: told(limit) for limit in EPOCHS}
    best = max(EPOCHS, key=truth)
    assert truth(best) > truth(EPOCHS[0]) + 0.2
    chosen = max(EPOCHS, key=lambda one: float(agreement(figures[one][0], figures[one][2]).mean()))
    assert truth(chosen) > truth(best) - 0.05
    plain = max(EPOCHS, key=lambda one: float(agreement(*figures[one][:2]).mean()))
    assert plain == EPOCHS[0]


def test_a_collapse_is_steady_and_still_worth_less_than_the_source() -> None:
    """All of the box is marked in every view: what the source is sure of is lost."""
    views, _, anchor = told(-1.0)
    assert torch.all(views == 1)
    source_views, _, whole = told(SOURCE)
    assert torch.all(whole == 1)
    assert agreement(views, anchor).mean() < agreement(source_views, whole).mean() - 0.1


def test_what_the_source_says_in_both_views_is_what_counts() -> None:
    """Of four cells one was lost where the source is sure, one changed where it wavers."""
    masks = torch.tensor([[[1, 1], [0, 0]], [[1, 0], [1, 0]], [[1, 1], [1, 0]]]).bool()
    source, mine, wavering = (prediction(one[None]) for one in masks)
    assert kept(mine, source, source).item() == pytest.approx(1 / 3)
    assert kept(mine, source, wavering).item() == pytest.approx(2 / 3)
    nothing = prediction(torch.zeros(1, 2, 2, dtype=torch.bool))
    assert kept(nothing, nothing, nothing).item() == 1
    assert kept(nothing, source, source).item() == 0


def test_one_share_is_worth_nothing_without_the_other() -> None:
    """The mean is harmonic, and 0 of both is 0."""
    both = agreement(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(both, torch.tensor([0, 2 / 3, 0]))
