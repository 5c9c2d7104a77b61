from dataclasses import replace

import pytest
import torch

from samdomain import decode, encode, trainable_parameters
from samdomain.backbones import BACKBONES
from samdomain.errors import InputError
from samdomain.prompting import predicted_masks
from samdomain.recipes import Batch, Refinement, SamLP, Tuning, preset
from samdomain.sam import Prompts, Sam


def test_stage_two_leaves_the_encoder_alone(sam: Sam, batch: Batch, fit) -> None:
    """No bit of the encoder, low-rank updates included, changes; the decoder's do."""
    recipe = SamLP()
    fit(sam, recipe, batch, 3)
    before = {key: one.clone() for key, one in sam.state_dict().items()}
    assert recipe.refinement is not None
    fit(sam, recipe.refinement, batch, 3)
    changed = {key for key, one in sam.state_dict().items() if not torch.equal(one, before[key])}
    assert changed
    assert not any(key.startswith("image_encoder") for key in changed)
    assert any("mask_decoder" in key for key in changed)


def test_the_paper_refines_with_logits(sam: Sam, batch: Batch) -> None:
    """A round hands back the low-resolution logits of the answer before it."""
    recipe = preset("samlp", "paper")
    assert isinstance(recipe, SamLP)
    assert recipe.refinement is not None
    once = replace(recipe, refinement=replace(recipe.refinement, rounds=1))
    with torch.no_grad():
        embedding = encode(sam, batch.images)
        first = replace(recipe, refinement=None).answer(sam, embedding)
        expected = decode(sam, embedding, predicted_masks(first)).low_res
        torch.testing.assert_close(once.answer(sam, embedding).low_res, expected)


def test_without_rounds_it_is_the_plain_detector(sam: Sam, batch: Batch) -> None:
    """No refinement, and one of no rounds, give the answer to the null prompt."""
    with torch.no_grad():
        embedding = encode(sam, batch.images)
        null = decode(sam, embedding, Prompts.null(2)).low_res
        plain = SamLP(refinement=None).answer(sam, embedding).low_res
        assert SamLP().refinement is not None
        still = SamLP(refinement=replace(SamLP().refinement, rounds=0))
        torch.testing.assert_close(plain, null)
        torch.testing.assert_close(still.answer(sam, embedding).low_res, null)


def test_boxes_are_rehearsed_in_both_stages(sam: Sam, batch: Batch) -> None:
    """Each step also answers true boxes, and the paper's presets do not."""
    for stage in SamLP().stages:
        stage.adapt(sam)
        outputs = stage.forward(sam, batch)
        assert len(outputs["boxes"].prediction) == 2
        assert "boxes" in stage.loss(outputs, batch)
    for stage in preset("samlp", "paper").stages:
        assert "boxes" not in stage.forward(sam, batch)


def test_trainable_values_are_those_of_the_paper() -> None:
    """Rank 2 on ViT-B: 73,728 in the encoder and 11,776 in the decoder."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
    preset("samlp", "official").adapt(sam)
    counts = {one.part: one.trainable for one in trainable_parameters(sam).parts}
    assert counts["image_encoder"] == 73_728
    assert counts["mask_decoder"] == 11_776


def test_stages_that_do_not_fit_together_are_refused() -> None:
    """What stage 1 alone trains of the base would be missing from the adapter's file."""
    mending = Refinement(Tuning(parts=("decoder",)))
    with pytest.raises(InputError, match=r"stage 1 trains encoder\.norms"):
        SamLP(Tuning(parts=("encoder.norms", "decoder.norms")), refinement=mending)
    with pytest.raises(InputError, match="multimask is True in stage 1"):
        SamLP(multimask=True)


def test_detection_counts_objects(sam: Sam, batch: Batch) -> None:
    """A model whose mask is the truth has found every object."""
    recipe = SamLP(refinement=None)
    figures = recipe.measure(sam, replace(batch, masks=_as_predicted(recipe, sam, batch)))
    assert (figures["iou"] == 1).all()
    assert (figures["detected"] == 1).all()


def _as_predicted(recipe: SamLP, sam: Sam, batch: Batch) -> list[torch.Tensor]:
    return [mask > 0 for mask in recipe.predict(sam, batch.images).logits[:, 0]]
