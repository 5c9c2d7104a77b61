from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from samdomain import Prompts, encode, load_sam
from samdomain.anchor import guides_of
from samdomain.cache import LatestSam, cache_features
from samdomain.errors import InputError
from samdomain.losses import dice_loss, focal_loss
from samdomain.recipes import Batch, SelfTraining, StrongView, WeakPrompts, WeSAM, preset, total
from samdomain.recipes.agreement import agreement
from samdomain.recipes.recipe import Guided
from samdomain.sam import Sam
from samdomain.testing import move_trained

STILL = StrongView(chance=0.0)  # the strong view is the weak one


def seen(recipe: WeSAM, sam: Sam, batch: Batch) -> dict[str, torch.Tensor]:
    return {name: one.prediction.low_res for name, one in recipe.forward(sam, batch).items()}


@pytest.mark.parametrize("which", ["paper", "official", "recommended"])
def test_all_three_begin_alike(sam: Sam, batch: Batch, which: str) -> None:
    """Before the first step student, teacher and anchor say bit by bit the same of one view."""
    recipe = replace(preset("wesam", which), strong=STILL)
    recipe.adapt(sam)
    answers = seen(recipe, sam, batch)
    assert torch.equal(answers["student"], answers["anchor"])
    assert torch.equal(answers["teacher"], answers["anchor"])


def test_each_network_has_its_own_weights(sam: Sam, batch: Batch) -> None:
    """After a change the anchor says what it said, the teacher has gone half of the way."""
    recipe = replace(preset("wesam"), strong=STILL, momentum=0.5)
    recipe.adapt(sam)
    before = seen(recipe, sam, batch)["anchor"]
    move_trained(sam)
    recipe.after_step(sam)
    answers = seen(recipe, sam, batch)
    assert torch.equal(answers["anchor"], before)
    assert not torch.equal(answers["teacher"], before)
    assert not torch.equal(answers["teacher"], answers["student"])


def test_gradients_reach_the_student_alone(sam: Sam, batch: Batch) -> None:
    """Anchor and teacher keep no graph; the official teacher does, and learns from the anchor."""
    for which, learns in (("recommended", False), ("official", True)):
        model = load_sam("tiny")
        recipe = preset("wesam", which)
        recipe.adapt(model)
        answers = seen(recipe, model, batch)
        assert answers["student"].requires_grad
        assert not answers["anchor"].requires_grad
        assert answers["teacher"].requires_grad is learns


def test_the_weak_view_is_encoded_once(sam: Sam, batch: Batch) -> None:
    """Its frozen part serves anchor and teacher; the strong view is the second pass."""
    recipe = preset("wesam")
    recipe.adapt(sam)
    stem = sam.image_encoder.patch_embed
    with patch.object(stem, "forward", wraps=stem.forward) as runs:
        recipe.forward(sam, batch)
    assert runs.call_count == 2


def held_for_backward(recipe: WeSAM, batch: Batch) -> int:
    """Bytes that a step keeps for its gradients, its own tensors and the parameters apart."""
    sam = load_sam("tiny")
    recipe.adapt(sam)
    own = {one.untyped_storage().data_ptr() for one in sam.parameters()}
    kept: dict[int, int] = {}

    def keep(one: torch.Tensor) -> torch.Tensor:
        storage = one.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return one

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one):
        terms = recipe.loss(recipe.forward(sam, batch), batch)
    assert total(terms).requires_grad
    return sum(kept.values())


def test_anchor_and_teacher_keep_next_to_nothing(batch: Batch) -> None:
    """For its gradients a step keeps at most 1.3 times what supervised training keeps."""
    everything = preset("wesam")
    supervised = replace(
        everything, supervised=True, learning=SelfTraining(anchor=0.0, contrast=0.0)
    )
    assert held_for_backward(everything, batch) < 1.3 * held_for_backward(supervised, batch)


def test_what_is_not_weighed_is_not_computed(sam: Sam, batch: Batch) -> None:
    """Self-training alone has no anchor, supervised training no teacher."""
    alone = replace(preset("wesam"), learning=SelfTraining(anchor=0.0, contrast=0.0))
    alone.adapt(sam)
    outputs = alone.forward(sam, batch)
    assert set(outputs) == {"teacher", "student"}
    assert set(alone.loss(outputs, batch)) == {"focal", "dice", "iou"}
    supervised = replace(alone, supervised=True)
    outputs = supervised.forward(sam, batch)
    assert set(outputs) == {"student"}
    assert torch.equal(outputs["student"].target[0] > 0.5, batch.masks[0])


def test_a_loss_is_what_the_paper_says(sam: Sam, batch: Batch) -> None:
    """Focal with a constant factor and Dice of each mask; the number of masks only officially."""
    recipe = preset("wesam")
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    student = outputs["student"]
    logits = student.prediction.low_res[:, 0]
    terms = recipe.loss(outputs, batch)
    focal = focal_loss(logits, student.target, alpha=None)
    torch.testing.assert_close(terms["focal"], 20 * 0.8 * focal)
    torch.testing.assert_close(terms["dice"], dice_loss(logits, student.target))
    official = SelfTraining(by_number=True)(student)
    torch.testing.assert_close(official["focal"], 20 * 2 * focal)
    pooled = dice_loss(logits.flatten(0, 1), student.target.flatten(0, 1), smooth=2.0)
    torch.testing.assert_close(official["dice"], pooled)


def test_an_anchor_that_is_met_costs_nothing(sam: Sam, batch: Batch) -> None:
    """Where logits saturate to the anchor's masks, its Dice term vanishes."""
    recipe = replace(preset("wesam"), strong=STILL)
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    anchor = outputs["anchor"]
    sure = replace(anchor.prediction, low_res=anchor.prediction.low_res.sign() * 50)
    terms = SelfTraining()(replace(anchor, prediction=sure), anchor=anchor)
    assert terms["anchor"].item() < 1e-5


def test_single_objects_learn_across_images(sam: Sam, batch: Batch) -> None:
    """One instance an image costs 0 among its own; negatives of other images make it cost."""
    recipe = replace(preset("wesam"), asking=WeakPrompts("points"))
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    across = SelfTraining()(outputs["student"], anchor=outputs["anchor"])
    apart = SelfTraining(cross_image=False)(outputs["student"], anchor=outputs["anchor"])
    assert apart["contrast"].item() == pytest.approx(0, abs=1e-6)
    assert across["contrast"].item() > 0.01


def test_one_click_has_one_meaning_for_all(sam: Sam, batch: Batch) -> None:
    """Of three alternatives all three networks are held to the same."""
    clicks = Prompts(
        points=torch.tensor([[[20.0, 20]], [[20.0, 30]]]),
        labels=torch.ones(2, 1, dtype=torch.long),
        images=torch.tensor([0, 1]),
    )
    recipe = replace(preset("wesam"), strong=STILL)
    recipe.adapt(sam)
    asked = Batch(batch.images, batch.masks, prompts=clicks)
    answers = seen(recipe, sam, asked)
    assert answers["student"].shape == (2, 1, 64, 64)
    assert torch.equal(answers["student"], answers["anchor"])
    assert "iou" not in recipe.measure(sam, asked)


def test_without_labels_the_source_finds_what_to_ask_for(sam: Sam, batch: Batch) -> None:
    """Boxes around its own masks prompt the step; they are found once an image."""
    recipe = replace(preset("wesam"), asking=WeakPrompts("none", most=3))
    recipe.adapt(sam)
    boxes = torch.tensor([[2.0, 3, 30, 40], [5, 5, 20, 20]])
    with patch("samdomain.recipes.wesam.AutomaticMasks.within") as finder:
        finder.return_value.boxes = boxes
        for _ in range(2):
            outputs = recipe.forward(sam, batch)
    assert finder.call_count == 2  # one an image
    assert outputs["student"].prediction.images.tolist() == [0, 0, 1, 1]
    assert total(recipe.loss(outputs, batch)).isfinite()


def test_without_labels_no_label_decides(sam: Sam, batch: Batch) -> None:
    """Agreement is at what the source finds, with masks and without; masks give their IoU alone."""
    recipe = replace(preset("wesam"), asking=WeakPrompts("none", most=3))
    recipe.adapt(sam)
    move_trained(sam.eval())
    bare = Batch(batch.images, [torch.zeros(0, 64, 64, dtype=torch.bool)] * 2)
    with patch("samdomain.recipes.wesam.AutomaticMasks.within") as finder:
        finder.return_value.boxes = torch.tensor([[2.0, 3, 30, 40], [5, 5, 20, 20]])
        known, unknown = recipe.measure(sam, batch), recipe.measure(sam, bare)
    assert torch.equal(known["agreement"], unknown["agreement"])
    assert len(known["agreement"]) == 4
    assert len(known["iou"]) == len(known["pseudo_iou"]) == 2
    assert not len(unknown["iou"])


def test_agreement_is_of_the_views_and_of_what_is_kept(sam: Sam, batch: Batch) -> None:
    """At first all of the anchor is kept; later less, but never less than what overlaps."""
    recipe = preset("wesam")
    recipe.adapt(sam)
    sam.eval()
    first = recipe.measure(sam, batch)
    assert torch.all(first["anchor_agrees"] == 1)
    assert torch.all(first["anchor_kept"] == 1)
    assert torch.equal(first["agreement"], agreement(first["views_agree"], torch.ones(2)))
    assert torch.equal(first["pseudo_iou"], first["iou"])
    move_trained(sam, scale=0.3)
    moved = recipe.measure(sam, batch)
    assert torch.all(moved["anchor_agrees"] < 1)
    assert torch.all(moved["anchor_kept"] >= moved["anchor_agrees"] - 1e-6)


def test_views_for_standing_models_do_not_mislead(sam: Sam, batch: Batch) -> None:
    """Through a view that keeps the last embedding, the anchor is still the anchor."""
    recipe = preset("wesam")
    recipe.adapt(sam)
    move_trained(sam.eval())
    plain, seen_through = (recipe.measure(one, batch) for one in (sam, LatestSam(sam)))
    assert float(plain["anchor_agrees"].mean()) < 1
    assert all(torch.equal(plain[name], one) for name, one in seen_through.items())


def test_without_an_anchor_little_can_be_told(batch: Batch) -> None:
    """A model from a file is measured by its views and the truth; training it is refused."""
    sam = load_sam("tiny")
    assert set(preset("wesam").measure(sam, batch)) == {"views_agree", "iou"}
    with pytest.raises(InputError, match=r"call the recipe's adapt\(sam\) first"):
        preset("wesam").forward(sam, batch)


def test_fixed_strong_views_are_served_from_disk(sam: Sam, batch: Batch, tmp_path: Path) -> None:
    """With two strong views no third step runs the frozen part."""
    recipe = replace(preset("wesam"), strong_views=2)
    recipe.adapt(sam)
    view = cache_features(sam, tmp_path)
    for seed in range(8):
        torch.manual_seed(seed)
        recipe.forward(view, batch)
    stem = sam.image_encoder.patch_embed
    with patch.object(stem, "forward", wraps=stem.forward) as runs:
        recipe.forward(view, batch)
    assert runs.call_count == 0


def test_scaled_models_see_strong_views_too(batch: Batch) -> None:
    """Where a spec scales by each image's values, brightness is not scaled away."""
    sam = load_sam("tiny")
    recipe = replace(preset("wesam"), strong=StrongView(chance=1.0))
    recipe.adapt(sam)
    sam.spec = replace(sam.spec, scaling="minmax", pixel_mean=(0.0,) * 3, pixel_std=(1.0,) * 3)
    strong = recipe._strongly(sam, batch, 1).main
    assert not torch.allclose(strong, encode(sam, batch.images).main)


def test_only_a_training_without_truth_can_collapse() -> None:
    """The alarm is at the given share; never, if that is None or true masks are learned."""
    assert WeSAM().alarms == {"anchor_agrees": 0.5}
    assert WeSAM(collapse=None).alarms == {}
    assert WeSAM(supervised=True).alarms == {}


def test_settings_that_contradict_are_refused(sam: Sam) -> None:
    """Gradients cannot flow through a teacher of other weights."""
    with pytest.raises(InputError, match="through_teacher to false"):
        WeSAM(through_teacher=True)
    recipe = preset("wesam")
    assert isinstance(recipe, Guided)
    recipe.adapt(sam)
    assert guides_of(sam) is not None
    images = torch.rand(1, 3, 64, 64)
    given = Prompts(boxes=torch.tensor([[0.0, 0, 9, 9]]))
    batch = Batch(images, [torch.zeros(0, 64, 64, dtype=torch.bool)], prompts=given)
    with pytest.raises(InputError, match="needs true masks"):
        replace(recipe, supervised=True).forward(sam, batch)
