"""What every preset of every recipe keeps to."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from samdomain import Prompts, encode, load_adapter, load_sam, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.cache import cache_features
from samdomain.errors import InputError
from samdomain.recipes import (
    RECIPES,
    Batch,
    Guided,
    Pooling,
    Recipe,
    Stage,
    preset,
    read_recipe,
    total,
)
from samdomain.sam import Sam

Fit = Callable[..., list[float]]


def spec_knows(sam: Sam, recipe: Recipe) -> None:
    for stage in recipe.stages:
        stage.adapt(sam)


def test_a_short_fit_lowers_the_loss(sam: Sam, recipe: Recipe, batch: Batch, fit: Fit) -> None:
    """Twenty steps leave every stage better than it began; heavy presets show it in six."""
    if isinstance(recipe, Guided) and recipe != type(recipe)():
        pytest.skip("its target moves, further than six steps of a published rate do")
    steps = 20 if recipe == type(recipe)() else 6
    one = Batch(batch.images[:1], batch.masks[:1])
    for stage in recipe.stages:
        losses = fit(sam, stage, one, steps)
        assert sum(losses[-2:]) < sum(losses[:2])


def test_each_is_a_recipe(recipe: Recipe) -> None:
    """It keeps the protocol, and is its own first stage."""
    assert isinstance(recipe, Recipe)
    assert recipe.stages[0] is recipe
    assert all(isinstance(stage, Stage) for stage in recipe.stages)


def test_images_are_encoded_once_a_step(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """One call of the encoder serves all decodings of a step, and of a prediction."""
    if isinstance(recipe, Guided):
        pytest.skip("views and networks differ: its own tests count the passes")
    for stage in recipe.stages:
        stage.adapt(sam)
        with patch.object(sam.image_encoder, "forward", wraps=sam.image_encoder.forward) as encoder:
            stage.forward(sam, batch)
        assert encoder.call_count == 1


def test_only_what_trains_has_gradients(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """The frozen base has none, and what trains has finite ones."""
    for stage in recipe.stages:
        stage.adapt(sam)
        total(stage.loss(stage.forward(sam, batch), batch)).backward()
        trained = {name: one for name, one in sam.named_parameters() if one.requires_grad}
        frozen = [one for one in sam.parameters() if not one.requires_grad]
        assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in trained.values())
        assert all(one.grad is None for one in frozen)
        assert all(one.grad is None or one.grad.isfinite().all() for one in trained.values())
        sam.zero_grad()


def test_empty_masks_cost_a_finite_loss(sam: Sam, recipe: Recipe, nothing: Batch) -> None:
    """A batch without an object has a loss that can be derived."""
    for stage in recipe.stages:
        stage.adapt(sam)
        terms = stage.loss(stage.forward(sam, nothing), nothing)
        assert all(term.isfinite() for term in terms.values())
        total(terms).backward()


def test_values_survive_json(recipe: Recipe) -> None:
    """What an adapter's card holds makes the same recipe again."""
    written = json.loads(json.dumps(recipe.to_json()))
    assert read_recipe(recipe.name, written) == recipe


def test_features_on_disk_change_nothing(
    sam: Sam, recipe: Recipe, batch: Batch, tmp_path: Path
) -> None:
    """Through a cached view the loss is the same, up to the half precision of what is kept."""
    for stage in recipe.stages:
        stage.adapt(sam)
        view = cache_features(sam, tmp_path)
        losses: list[torch.Tensor] = []
        for model in (sam, view, view):
            torch.manual_seed(3)
            losses.append(total(stage.loss(stage.forward(model, batch), batch)))
        torch.testing.assert_close(losses[1], losses[0], rtol=2e-2, atol=2e-2)
        torch.testing.assert_close(losses[2], losses[1], rtol=0, atol=0)


def test_figures_are_shares(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """Each figure is between 0 and 1, has a value a mask, and repeats itself."""
    spec_knows(sam, recipe)
    figures = recipe.measure(sam.eval(), batch)
    means = {name: float(values.mean()) for name, values in figures.items()}
    assert recipe.monitor in (recipe.pooled(means) if isinstance(recipe, Pooling) else means)
    for name, values in recipe.measure(sam, batch).items():
        assert values.shape == (2,)
        assert ((values >= 0) & (values <= 1)).all()
        torch.testing.assert_close(values, figures[name], rtol=0, atol=0)


def test_given_prompts_are_answered(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """Two boxes in one image have a mask each, and no gradient is kept."""
    spec_knows(sam, recipe)
    boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 40], [10, 10, 30, 30]]))
    prediction = recipe.predict(sam, batch.images[0], boxes)
    assert prediction.logits.shape == (2, 1, 64, 64)
    assert not prediction.low_res.requires_grad


def test_a_fitted_model_comes_back_from_its_file(
    sam: Sam, recipe: Recipe, batch: Batch, fit: Fit, tmp_path: Path
) -> None:
    """After all stages the adapter's file holds all that was learned, and the prompts taught."""
    for stage in recipe.stages:
        fit(sam, stage, batch, 2)
    card = AdapterCard(recipe=recipe.name, output=recipe.output, options=recipe.to_json())
    save_adapter(sam, tmp_path / "adapter", card)
    loaded = load_adapter(tmp_path / "adapter", load_sam("tiny"))
    assert loaded.adapter is not None
    again = read_recipe(loaded.adapter.card.recipe, loaded.adapter.card.options)
    assert again == recipe
    boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))
    before = recipe.predict(sam.eval(), batch.images[0], boxes).low_res
    after = again.predict(loaded.sam, batch.images[0], boxes).low_res
    torch.testing.assert_close(after, before)
    assert loaded.sam.spec == sam.spec


def test_batch_order_does_not_matter(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """Images of a batch do not know one another: each has the answer that it has alone."""
    spec_knows(sam, recipe)
    sam.eval()
    order = [1, 0]
    turned = Batch(batch.images[order], [batch.masks[i] for i in order])
    figures, others = recipe.measure(sam, batch), recipe.measure(sam, turned)
    for name, values in figures.items():
        torch.testing.assert_close(others[name], values[order], atol=1e-3, rtol=0)


def test_unknown_names_are_refused() -> None:
    """The message lists what there is."""
    with pytest.raises(InputError, match="known are sam, samlp, sam_sp, samed, wesam"):
        preset("samde")
    with pytest.raises(InputError, match="it has paper, recommended"):
        preset("sam_sp", "official")
    with pytest.raises(InputError, match="has no field beta"):
        read_recipe("sam_sp", {"beta": 1})


def test_names_are_registered() -> None:
    """A recipe stands under its own name, and has a recommended preset that is its default."""
    for name, kind in RECIPES.items():
        assert kind.name == name
        assert kind.presets()["recommended"] == kind()


def test_null_prompts_have_no_image_of_their_own(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """Recipes that need no prompt answer each image once; the other says what it needs."""
    spec_knows(sam, recipe)
    if recipe.legend is None:
        assert recipe.output == "prompted"
        with pytest.raises(InputError, match="give clicks, boxes or masks"):
            recipe.predict(sam, batch.images)
    else:
        embedding = encode(sam, batch.images)
        channels = len(recipe.legend)
        assert recipe.predict(sam, batch.images).logits.shape == (2, channels, 64, 64)
        assert len(recipe.answer(sam, embedding)) == 2
