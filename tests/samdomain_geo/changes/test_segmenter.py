"""An adapter of change is asked with two dates."""

from pathlib import Path

import pytest
import torch

from samdomain import load_sam, load_segmenter, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.errors import InputError
from samdomain.recipes import preset
from samdomain.testing import move_trained
from samdomain_geo.changes.segmenter import ChangeSegmenter, load_change


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """The folder of an adapter of change."""
    recipe, sam = preset("sam_cd"), load_sam("tiny")
    recipe.adapt(sam)
    move_trained(sam)
    card = AdapterCard(
        recipe="sam_cd",
        output="change",
        options=recipe.to_json(),
        value_range=(0.0, 200.0),
        temperature=2.0,
    )
    save_adapter(sam, tmp_path / "adapter", card)
    return tmp_path / "adapter"


def test_two_dates_give_one_probability(adapter: Path) -> None:
    """Of any size, 0 to 1, by the temperature of the card, and without gradients."""
    segmenter, card = load_change(adapter)
    before, after = torch.rand(2, 3, 3, 37, 50) * 255
    found = segmenter.probability(before, after)
    assert found.shape == (3, 1, 37, 50)
    assert not found.requires_grad
    assert ((found > 0) & (found < 1)).all()
    expected = segmenter.recipe.predict(segmenter.sam, torch.stack([before, after], dim=1))
    torch.testing.assert_close(found, (expected.logits / card.temperature).sigmoid())
    assert segmenter.value_range == (0.0, 200.0)


def test_a_fast_copy_says_the_same(adapter: Path) -> None:
    """The accelerated model answers alike, and cannot be accelerated again."""
    segmenter, _ = load_change(adapter)
    fast = segmenter.accelerated()
    before, after = torch.rand(2, 1, 3, 64, 64) * 255
    torch.testing.assert_close(
        fast.probability(before, after), segmenter.probability(before, after), atol=1e-3, rtol=1e-3
    )
    with pytest.raises(InputError, match="cannot be accelerated"):
        fast.accelerated()


def test_dates_have_to_lie_on_one_grid(adapter: Path, unchecked: None) -> None:
    """The message tells both sizes."""
    segmenter, _ = load_change(adapter)
    with pytest.raises(InputError, match="on one grid"):
        segmenter.probability(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))


def test_adapters_of_one_date_are_refused(tmp_path: Path) -> None:
    """And those of two dates where one is asked for."""
    recipe, sam = preset("samed"), load_sam("tiny")
    recipe.adapt(sam)
    card = AdapterCard(recipe="samed", output="semantic", options=recipe.to_json())
    save_adapter(sam, tmp_path / "classes", card)
    with pytest.raises(InputError, match="gives 'semantic', and compares no dates"):
        load_change(tmp_path / "classes")


def test_a_segmenter_of_one_date_refuses_it(adapter: Path) -> None:
    """The line names the command that takes it."""
    with pytest.raises(InputError, match="samdomain change"):
        load_segmenter(adapter)


def test_gradients_reach_the_head(adapter: Path) -> None:
    """Called, and not asked for probabilities, it trains as any module."""
    segmenter, _ = load_change(adapter)
    assert isinstance(segmenter, ChangeSegmenter)
    logits = segmenter(*torch.rand(2, 1, 3, 32, 32) * 255)
    logits.square().mean().backward()
    assert any(one.grad is not None for one in segmenter.sam.mask_decoder.change.parameters())
