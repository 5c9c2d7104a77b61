"""A toy task, and recipes with what their tests need of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from samdomain import load_sam
from samdomain.recipes import Batch, Guided, Recipe, Stage, preset, total
from samdomain.sam import Sam

PLACES = ((8, 10, 34, 40), (20, 4, 50, 30), (14, 22, 44, 56), (4, 4, 28, 36))


def toy_images(number: int = 2, side: int = 64) -> tuple[Tensor, Tensor]:
    """Bright rectangles on dark noise, and their masks."""
    generator = torch.Generator().manual_seed(7)
    images = torch.rand((number, 3, side, side), generator=generator) * 60
    masks = torch.zeros(number, side, side, dtype=torch.bool)
    for image, mask, place in zip(images, masks, PLACES, strict=False):
        top, left, bottom, right = place
        image[:, top:bottom, left:right] += 150
        mask[top:bottom, left:right] = True
    return images, masks


@pytest.fixture
def batch() -> Batch:
    """Two images with one object each."""
    images, masks = toy_images()
    return Batch(images, list(masks))


@pytest.fixture
def nothing() -> Batch:
    """Two images without an object."""
    images, _ = toy_images(2)
    return Batch(images, [torch.zeros(64, 64, dtype=torch.bool)] * 2)


@pytest.fixture
def sam() -> Sam:
    """A model of random weights that the test may change."""
    return load_sam("tiny")


NAMED = [
    ("sam", "paper"),
    ("sam", "recommended"),
    ("samlp", "paper"),
    ("samlp", "official"),
    ("samlp", "recommended"),
    ("sam_sp", "paper"),
    ("sam_sp", "recommended"),
    ("samed", "paper"),
    ("samed", "small"),
    ("samed", "pyramid"),
    ("samed", "recommended"),
    ("wesam", "paper"),
    ("wesam", "official"),
    ("wesam", "recommended"),
]


@pytest.fixture(params=NAMED, ids=["-".join(one) for one in NAMED])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Every preset of every recipe."""
    return preset(*request.param)


def fit_stage(sam: Sam, stage: Stage, batch: Batch, steps: int) -> list[float]:
    """Fit what the stage trains; return the loss before each step."""
    stage.adapt(sam)
    trained = [one for one in sam.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=stage.rate)
    losses: list[float] = []
    for step in range(steps):
        torch.manual_seed(step % 2)  # chance is the same in the steps that are compared
        loss = total(stage.loss(stage.forward(sam, batch), batch))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if isinstance(stage, Guided):
            stage.after_step(sam)
    return losses


@pytest.fixture
def fit() -> Callable[..., list[float]]:
    """Fit a stage of a recipe for some steps."""
    return fit_stage
