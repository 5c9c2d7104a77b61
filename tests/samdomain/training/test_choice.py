"""What a config says of the recipe becomes the recipe."""

from pathlib import Path

import pytest

from samdomain import add_lora, load_sam, save_adapter
from samdomain.adapter_file import AdapterCard, DataSource
from samdomain.errors import InputError
from samdomain.injection import injections
from samdomain.recipes import SamLP, SamSP
from samdomain.training.choice import BaseChoice, CardChoice, RecipeChoice
from samdomain.training.sample import Scale


def test_a_preset_with_changed_values() -> None:
    """What is not changed stays as the preset has it, also inside nested values."""
    choice = RecipeChoice("sam_sp", "paper", {"alpha": 0.5, "loss_of_masks": {"focal": 2.0}})
    built, paper = choice.build(), SamSP.presets()["paper"]
    assert isinstance(built, SamSP)
    assert (built.alpha, built.loss_of_masks.focal) == (0.5, 2.0)
    assert (built.tuning, built.loss_of_masks.dice) == (paper.tuning, paper.loss_of_masks.dice)


def test_a_nested_value_may_be_taken_away() -> None:
    """None replaces a mapping: a detector without its second stage."""
    built = RecipeChoice("samlp", options={"refinement": None}).build()
    assert isinstance(built, SamLP)
    assert built.stages == (built,)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (RecipeChoice("sam-sp"), "'sam-sp' is unknown: known are .*sam_sp"),
        (RecipeChoice("sam_sp", "best"), "no preset 'best': it has paper, recommended"),
        (RecipeChoice("sam_sp", options={"alfa": 1}), "no option alfa: it has .*alpha"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(choice: RecipeChoice, told: str) -> None:
    """Unknown names are refused with those that are known."""
    with pytest.raises(InputError, match=told):
        choice.build()


def test_the_card_says_how_to_ask() -> None:
    """The card holds enough to build the recipe again."""
    recipe = RecipeChoice("sam_sp").build()
    card = CardChoice(summary="Finds dots.").card(recipe, Scale(chip=64), {"dice": 0.5})
    assert (card.recipe, card.output, card.metrics) == ("sam_sp", "semantic", {"dice": 0.5})
    assert SamSP.from_json(card.options) == recipe
    assert card.chip_size == 64


def test_training_may_go_on_from_an_adapter(tmp_path: Path) -> None:
    """It stands in the model, and the terms of its data are told; the card holds both data."""
    sam = load_sam("tiny")
    add_lora(sam, ["decoder.q"], rank=2)
    source = DataSource("dots", "research only")
    save_adapter(sam, tmp_path / "dots", AdapterCard(data=(source,)))
    choice = BaseChoice("tiny", adapter=str(tmp_path / "dots"))
    begun = choice.load()
    before = choice.begin(begun)
    assert [one.injection.kind for one in injections(begun)] == ["lora"]
    own = DataSource("lines", "CC0-1.0")
    recipe = RecipeChoice("wesam").build()
    assert CardChoice(data=(own,)).card(recipe, Scale(), {}, before).data == (source, own)
    assert BaseChoice("tiny").begin(load_sam("tiny")) == ()
    with pytest.raises(InputError, match="neither a folder nor shipped"):
        BaseChoice("tiny", adapter="nope").begin(load_sam("tiny"))
