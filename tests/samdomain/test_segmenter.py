from pathlib import Path

import pytest
import torch

from samdomain import Segmenter, accelerate, load_sam, load_segmenter, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.errors import InputError
from samdomain.recipes import Recipe, SAMed, preset
from samdomain.sam import Sam
from samdomain.testing import move_trained

NAMES = ("field", "water", "road")


def adapted(recipe: Recipe) -> Sam:
    sam = load_sam("tiny")
    for stage in recipe.stages:
        stage.adapt(sam)
    return move_trained(sam).eval()


@pytest.mark.parametrize("recipe", [SAMed(NAMES), preset("sam_sp"), preset("samlp")])
def test_images_in_logits_out(recipe: Recipe) -> None:
    """One map a class in pixels of the images; gradients reach what trains."""
    segmenter = Segmenter(adapted(recipe), recipe)
    images = torch.rand(2, 3, 40, 56) * 255
    logits = segmenter(images)
    assert logits.shape == (2, len(segmenter.legend), 40, 56)
    logits.square().mean().backward()
    assert any(one.grad is not None and one.grad.any() for one in segmenter.parameters())
    torch.testing.assert_close(logits, recipe.predict(segmenter.sam, images).logits)


def test_probabilities_add_up_and_know_the_temperature() -> None:
    """A high temperature makes them even; decisions stay."""
    recipe = SAMed(NAMES)
    sam, images = adapted(recipe), torch.rand(1, 3, 40, 56) * 255
    sure = Segmenter(sam, recipe).probabilities(images)
    torch.testing.assert_close(sure.sum(dim=1), torch.ones(1, 40, 56))
    unsure = Segmenter(sam, recipe, temperature=1e4).probabilities(images)
    torch.testing.assert_close(unsure, torch.full_like(unsure, 1 / 3), atol=1e-2, rtol=0)
    assert torch.equal(sure.argmax(1), unsure.argmax(1))


def test_an_adapter_is_a_segmenter(tmp_path: Path) -> None:
    """Loaded from its folder it answers as before, with the temperature of its card."""
    recipe = SAMed(NAMES)
    sam, images = adapted(recipe), torch.rand(1, 3, 40, 56) * 255
    card = AdapterCard(recipe="samed", output="semantic", options=recipe.to_json(), temperature=2.0)
    save_adapter(sam, tmp_path / "land", card)
    segmenter, read = load_segmenter(tmp_path / "land", load_sam("tiny"))
    assert (read.recipe, read.temperature) == ("samed", 2.0)
    torch.testing.assert_close(segmenter(images), Segmenter(sam, recipe)(images) / 2)


def test_a_snapshot_is_asked_alike() -> None:
    """An accelerated model stands in for its own."""
    recipe = SAMed(NAMES)
    sam, images = adapted(recipe), torch.rand(2, 3, 40, 56) * 255
    fast = Segmenter(accelerate(sam), recipe).probabilities(images)
    slow = Segmenter(sam, recipe).probabilities(images)
    torch.testing.assert_close(fast, slow, atol=1e-3, rtol=1e-3)


def test_recipes_of_prompts_are_refused(tmp_path: Path) -> None:
    """The message names recipes that find without prompts."""
    card = AdapterCard(recipe="sam", options=preset("sam").to_json())
    save_adapter(adapted(preset("sam")), tmp_path / "clicks", card)
    with pytest.raises(InputError, match="as sam_sp, samlp and samed"):
        load_segmenter(tmp_path / "clicks", load_sam("tiny"))
    sam = adapted(preset("sam_sp"))
    save_adapter(sam, tmp_path / "bare")
    with pytest.raises(InputError, match="names no recipe"):
        load_segmenter(tmp_path / "bare", load_sam("tiny"))
