"""SAM-CD keeps to what a recipe is, and to what the paper says of it."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from samdomain import Prompts, load_sam
from samdomain.cache import cache_features
from samdomain.errors import InputError, PromptError
from samdomain.lora import LoRA
from samdomain.recipes import CHANGE, Batch, Pooling, PromptFree, Recipe, preset, read_recipe, total
from samdomain.sam import Sam
from samdomain_geo.recipes import SamCD

PRESETS = sorted(SamCD.presets())


@pytest.fixture
def sam() -> Sam:
    """A model of random weights that the test may change."""
    return load_sam("tiny")


@pytest.fixture(params=PRESETS)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Every preset."""
    return preset("sam_cd", request.param)


def make_batch(rows: int = 64, columns: int = 64) -> Batch:
    """Two pairs of noise, in whose second dates a bright square has come."""
    images = torch.rand(2, 2, 3, rows, columns) * 60
    masks = torch.zeros(2, rows, columns, dtype=torch.bool)
    for place, mask in enumerate(masks):
        mask[8 + 4 * place : 24, 6:22] = True
        images[place, 1, :, mask] += 150
    return Batch(images, list(masks), value_range=(0.0, 255.0))


@pytest.fixture
def batch() -> Batch:
    """Two pairs of 64 x 64 pixels."""
    return make_batch()


def test_it_is_a_recipe(recipe: Recipe) -> None:
    """It keeps the protocols, is found by its name, and survives JSON."""
    assert isinstance(recipe, Recipe)
    assert isinstance(recipe, PromptFree)
    assert isinstance(recipe, Pooling)
    assert recipe.stages == (recipe,)
    assert (recipe.output, recipe.legend) == ("change", CHANGE)
    assert read_recipe("sam_cd", json.loads(json.dumps(recipe.to_json()))) == recipe


def test_presets_differ_as_paper_and_code_do() -> None:
    """The paper reads all maps and normalised latents, the code the last map and raw ones."""
    paper, official = preset("sam_cd", "paper"), preset("sam_cd", "official")
    assert (paper.head.every, paper.head.normalised) == (True, True)
    assert (official.head.every, official.head.normalised) == (False, False)
    assert {paper.head.latents, official.head.latents} == {8}
    assert {paper.head.temperature, official.head.temperature} == {3.0}
    assert {paper.head.blocks, official.head.blocks} == {6}
    assert preset("sam_cd", "plain").head.latents == 0


def test_each_date_is_encoded_once(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """One call of the encoder has all dates of a step."""
    recipe.adapt(sam)
    with patch.object(sam.image_encoder, "forward", wraps=sam.image_encoder.forward) as encoder:
        recipe.forward(sam, batch)
    assert encoder.call_count == 1
    assert len(encoder.call_args.args[0]) == 4


def test_a_frozen_encoder_does_not_move(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """Neither its weights nor its running statistics; the head alone has gradients."""
    before = copy.deepcopy(sam.image_encoder.state_dict())
    recipe.adapt(sam)
    sam.train()
    optimizer = torch.optim.AdamW([one for one in sam.parameters() if one.requires_grad], lr=1e-2)
    total(recipe.loss(recipe.forward(sam, batch), batch)).backward()
    optimizer.step()
    after = sam.image_encoder.state_dict()
    assert all(torch.equal(after[key], one) for key, one in before.items())
    for name, one in sam.named_parameters():
        assert one.requires_grad == name.startswith("mask_decoder.change.")
        assert (one.grad is not None) == one.requires_grad


def test_a_short_fit_finds_the_square(sam: Sam, batch: Batch) -> None:
    """Eighty steps of the advised recipe are enough for two pairs."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    with torch.no_grad():
        embedding = batch.encoded(sam)
    trained = [one for one in sam.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-3)
    losses: list[float] = []
    for _ in range(80):
        outputs = recipe.aim(recipe.decode(sam, embedding), batch)
        loss = total(recipe.loss(outputs, batch))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]
    assert recipe.measure(sam.eval(), batch)["pair_f1"].min() > 0.5


def test_the_temporal_loss_is_the_papers(sam: Sam, recipe: Recipe, batch: Batch) -> None:
    """Equal dates cost nothing; where all changed it is 0; with the temperature it melts."""
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    terms = recipe.loss(outputs, batch)
    if recipe.head.latents == 0:
        assert "temporal" not in terms
        return
    assert 0 < terms["temporal"] <= 1
    images = batch.images[:, :1].expand(-1, 2, -1, -1, -1)
    same = Batch(images, batch.masks, value_range=batch.value_range)
    assert recipe.loss(recipe.forward(sam, same), same)["temporal"] < 1e-9
    everywhere = [torch.ones_like(one) for one in batch.masks]
    full = Batch(batch.images, everywhere, value_range=batch.value_range)
    assert recipe.loss(outputs, full)["temporal"] == 0


def test_changed_cells_do_not_move_the_latents(sam: Sam, batch: Batch) -> None:
    """The temporal loss has no gradient there, and has one elsewhere."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    latents = outputs["change"].prediction.latents
    latents.retain_grad()
    recipe.loss(outputs, batch)["temporal"].backward()
    moved = latents.grad.abs().sum((1, 2))  # (b, h, w)
    changed = batch.masks[0][::4, ::4]
    near = F.max_pool2d(changed[None].float(), 3, stride=1, padding=1)[0] > 0
    assert (moved[0][changed] == 0).all()
    assert (moved[0][~near] > 0).all()


@pytest.mark.parametrize("empty", [True, False])
def test_no_change_and_nothing_else_cost_a_finite_loss(
    sam: Sam, recipe: Recipe, batch: Batch, empty: bool
) -> None:
    """Masks without a change, and with nothing else."""
    recipe.adapt(sam)
    masks = [torch.full_like(one, not empty) for one in batch.masks]
    other = Batch(batch.images, masks, value_range=batch.value_range)
    terms = recipe.loss(recipe.forward(sam, other), other)
    assert all(term.isfinite() for term in terms.values())
    total(terms).backward()


def test_padding_does_not_count(sam: Sam) -> None:
    """What the frame pads is no place where nothing changed."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    batch = make_batch(32, 64)
    outputs = recipe.forward(sam, batch)
    outputs["change"].prediction.low_res.retain_grad()
    total(recipe.loss(outputs, batch)).backward()
    gradient = outputs["change"].prediction.low_res.grad
    assert (gradient[:, :, 32:] == 0).all()
    assert (gradient[:, :, :32] != 0).any()


def test_turned_features_answer_where_the_images_lie(sam: Sam) -> None:
    """An answer is turned back, so that the padding has nothing in any of the turns."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    batch = make_batch(32, 64)
    embedding = batch.encoded(sam)
    seen: set[float] = set()
    for seed in range(12):
        torch.manual_seed(seed)
        (found,) = recipe.decode(sam, embedding)
        assert found.frame == embedding.frame.select([0, 2])
        seen.add(round(float(found.low_res.detach().mean()), 6))
    assert len(seen) > 2
    still = replace(recipe, turns=1)
    (found,) = still.decode(sam, embedding)
    torch.testing.assert_close(found.low_res, recipe.answer(sam, embedding).low_res)
    with pytest.raises(InputError, match="allowed are 1 to 8"):
        replace(recipe, turns=9)


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (100, 37), (7, 300)])
def test_the_answer_has_the_size_of_the_images(
    sam: Sam, recipe: Recipe, size: tuple[int, int]
) -> None:
    """Any size is padded and cropped."""
    recipe.adapt(sam)
    pair = torch.rand(2, 3, *size) * 255
    assert recipe.predict(sam.eval(), pair).logits.shape == (1, 1, *size)
    assert recipe.predict(sam, pair[None]).logits.shape == (1, 1, *size)


def test_swapped_dates_have_the_same_answer(sam: Sam, batch: Batch) -> None:
    """The advised head cannot tell which date was first."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    images: Tensor = batch.images
    one, other = (recipe.predict(sam.eval(), dates).low_res for dates in (images, images.flip(1)))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_each_date_has_features_of_its_own(
    sam: Sam, recipe: Recipe, batch: Batch, tmp_path: Path
) -> None:
    """Through the cache the loss is the same, and swapped dates are found there."""
    recipe.adapt(sam)
    view = cache_features(sam, tmp_path)
    losses: list[Tensor] = []
    for model in (sam, view):
        torch.manual_seed(3)
        losses.append(total(recipe.loss(recipe.forward(model, batch), batch)))
    expected, found = losses
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 4
    swapped = Batch(batch.images.flip(1), batch.masks, value_range=batch.value_range)
    with patch.object(sam.image_encoder, "steps", wraps=sam.image_encoder.steps):
        recipe.forward(view, swapped)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 4


def test_the_encoder_may_be_updated_too(sam: Sam, batch: Batch) -> None:
    """Low-rank updates train beside the head, also behind a cached beginning."""
    recipe = SamCD(lora=LoRA(("encoder.q", "encoder.v"), rank=2, last=1))
    assert read_recipe("sam_cd", json.loads(json.dumps(recipe.to_json()))) == recipe
    recipe.adapt(sam)
    total(recipe.loss(recipe.forward(sam, batch), batch)).backward()
    names = {name for name, one in sam.named_parameters() if one.grad is not None}
    assert any("lora" in name and name.startswith("image_encoder.") for name in names)


def test_more_bands_are_mixed(sam: Sam) -> None:
    """Thirteen bands go in where three did."""
    recipe = SamCD(bands=13, rgb=(3, 2, 1))
    recipe.adapt(sam)
    assert recipe.predict(sam.eval(), torch.rand(2, 13, 40, 40) * 255).logits.shape == (
        1,
        1,
        40,
        40,
    )


def test_figures_of_changes_and_of_both_classes(sam: Sam, batch: Batch) -> None:
    """Shares of each pair; those of all pixels follow from their means."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    figures = recipe.measure(sam.eval(), batch)
    assert all(values.shape == (2,) for values in figures.values())
    assert all(((values >= 0) & (values <= 1)).all() for values in figures.values())
    means = {name: float(values.mean()) for name, values in figures.items()}
    pooled = recipe.pooled(means)
    both = means["both"]
    assert pooled[recipe.monitor] == pytest.approx(2 * both / (means["found"] + means["changed"]))
    assert {"change_iou", "class_averaged_f1", "class_averaged_iou"} < pooled.keys()


def test_bad_questions_are_refused(sam: Sam, unchecked: None) -> None:
    """A single date, and prompts."""
    recipe = preset("sam_cd")
    recipe.adapt(sam)
    with pytest.raises(InputError, match="give each place as"):
        recipe.predict(sam, torch.zeros(3, 8, 8))
    boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))
    with pytest.raises(PromptError, match="answers no prompts"):
        recipe.predict(sam, torch.zeros(2, 3, 8, 8), boxes)
