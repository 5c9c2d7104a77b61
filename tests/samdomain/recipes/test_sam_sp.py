import copy
from dataclasses import replace

import pytest
import torch

from samdomain import Prompts, decode, encode, trainable_parameters
from samdomain.errors import InputError
from samdomain.losses import dice_loss, self_distillation_loss
from samdomain.prompting import boxes_around, low_res_masks, predicted_boxes
from samdomain.recipes import Batch, SamSP, preset
from samdomain.recipes.answering import silenced
from samdomain.recipes.mask_loss import DICE
from samdomain.sam import Sam


def test_loss_is_dice_and_divergence(sam: Sam, batch: Batch) -> None:
    """The paper's terms: Dice of the second pass and alpha times KL(second || first)."""
    recipe = replace(preset("sam_sp", "paper"), alpha=0.7)
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    first, second = (one.prediction.low_res for one in outputs.values())
    frame = outputs["pass_1"].prediction.frame
    target = low_res_masks(list(batch.masks), frame, 64, images=torch.arange(2))
    terms = recipe.loss(outputs, batch)
    torch.testing.assert_close(terms["masks"], dice_loss(second[:, 0], target))
    torch.testing.assert_close(terms["distillation"], 0.7 * self_distillation_loss(first, second))
    assert terms["first"] == 0


def test_the_teacher_learns_nothing_from_its_student(sam: Sam, batch: Batch) -> None:
    """The divergence has no gradient at the second pass, and one at the first."""
    recipe = SamSP()
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    first, second = (one.prediction.low_res for one in outputs.values())
    divergence = recipe.loss(outputs, batch)["distillation"]
    grads = torch.autograd.grad(divergence, [first, second], allow_unused=True)
    assert grads[0].abs().sum() > 0
    assert grads[1] is None or not grads[1].any()


def test_untouched_it_is_the_base_prompted_with_its_own_box(sam: Sam, batch: Batch) -> None:
    """Before training the second pass is what the base answers to the first pass's box."""
    with torch.no_grad():
        embedding = encode(sam, batch.images)
        boxes = predicted_boxes(decode(sam, embedding, Prompts.null(2)))
        expected = decode(sam, embedding, boxes).low_res
    recipe = SamSP()
    recipe.adapt(sam)
    torch.testing.assert_close(recipe.predict(sam, batch.images).low_res, expected)


def test_evaluation_does_not_know_alpha(sam: Sam, batch: Batch) -> None:
    """Nor the jitter, which belongs to training."""
    SamSP().adapt(sam)
    answers = [
        recipe.predict(sam, batch.images).low_res
        for recipe in (SamSP(), SamSP(alpha=5.0, jitter=0.5))
    ]
    torch.testing.assert_close(*answers, rtol=0, atol=0)


def test_no_round_is_the_first_pass(sam: Sam, batch: Batch) -> None:
    """Without rounds the null prompt alone is tuned: its answer is the result and the loss."""
    recipe = SamSP(rounds=0, first=0.0, alpha=0.0, loss_of_masks=DICE)
    recipe.adapt(sam)
    outputs = recipe.forward(sam, batch)
    assert list(outputs) == ["pass_1"]
    answer = outputs["pass_1"]
    expected = dice_loss(answer.prediction.low_res[:, 0], answer.target)
    torch.testing.assert_close(sum(recipe.loss(outputs, batch).values()), expected)
    torch.testing.assert_close(
        recipe.predict(sam, batch.images).low_res, answer.prediction.low_res.detach()
    )


def test_frozen_layers_are_not_run_backwards(sam: Sam) -> None:
    """Of the encoder only the last block and the neck behind it train."""
    SamSP().adapt(sam)
    names = [n for n in trainable_parameters(sam).names if n.startswith("image_encoder")]
    assert names
    late = ("image_encoder.stages.3.blocks.", "image_encoder.neck.")
    assert all(name.startswith(late) for name in names)


def test_the_recommended_preset_is_light(litemedsam: Sam) -> None:
    """Below the 490,000 values that we allow; the paper's preset trains the whole decoder."""
    counts: dict[str, int] = {}
    for which in ("recommended", "paper"):
        fresh = copy.deepcopy(litemedsam)
        preset("sam_sp", which).adapt(fresh)
        counts[which] = trainable_parameters(fresh).trainable
    assert counts["recommended"] == 413_312
    assert counts["paper"] == 4_058_340 + 6_220 + 29_696  # decoder, prompt encoder, LoRA


def test_counts_of_the_tiny_model(sam: Sam) -> None:
    """The decoder's 214,912, the null embedding's 256, and rank 8 in last block and neck."""
    SamSP().adapt(sam)
    attention, mlp = 4 * 8 * (32 + 32), 2 * 8 * (32 + 128)
    neck = 8 * (32 + 256) + 8 * (9 * 256 + 256)
    assert trainable_parameters(sam).trainable == 214_912 + 256 + attention + mlp + neck


@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_jitter_moves_boxes_in_training_only(sam: Sam, batch: Batch, jitter: float) -> None:
    """Two steps differ by their chance where boxes move, and are the same where they do not."""
    recipe = SamSP(jitter=jitter)
    recipe.adapt(sam)
    with torch.no_grad():
        first, second = (recipe.forward(sam, batch)["pass_2"].prediction.low_res for _ in range(2))
    assert torch.equal(first, second) == (jitter == 0)


def test_true_boxes_are_rehearsed(sam: Sam, batch: Batch) -> None:
    """Where all images are asked by their true box, the second pass is the base's answer to it."""
    recipe = SamSP(rehearsal=1.0, jitter=0.0)
    recipe.adapt(sam)
    boxes = boxes_around(list(batch.masks), torch.arange(2))
    with torch.no_grad():
        second = recipe.forward(sam, batch)["pass_2"].prediction.low_res
        expected = decode(sam, encode(sam, batch.images), boxes).low_res
    torch.testing.assert_close(second, expected)


def test_images_without_an_object_are_asked_by_their_own_box(sam: Sam, batch: Batch) -> None:
    """There is no true box to rehearse; the other image is asked by its own alone."""
    empty = torch.zeros_like(batch.masks[0])
    half = replace(batch, masks=[empty, batch.masks[1]])
    with torch.no_grad():
        answers = [
            SamSP(rehearsal=share, jitter=0.0).forward(sam, half)["pass_2"].prediction.low_res
            for share in (0.0, 1.0)
        ]
    torch.testing.assert_close(answers[0][0], answers[1][0])
    assert not torch.equal(answers[0][1], answers[1][1])


@torch.no_grad()
def test_what_is_nowhere_sure_is_not_found(sam: Sam, batch: Batch) -> None:
    """Of two images the one whose surest pixel is under the peak has an empty mask."""
    embedding = encode(sam, batch.images)
    plain = SamSP().passes(sam, embedding)
    highest = plain[-1].low_res.amax(dim=(1, 2, 3)).sort().values
    assert highest[0] > 0
    between = float(highest[:2].mean().sigmoid())
    *first, last = SamSP(peak=between).passes(sam, embedding)
    torch.testing.assert_close(first[0].low_res, plain[0].low_res)
    unsure = plain[-1].low_res.amax(dim=(1, 2, 3)) == highest[0]
    assert not (last.low_res[unsure] > 0).any()
    torch.testing.assert_close(last.low_res[~unsure], plain[-1].low_res[~unsure])
    ordered = last.low_res[unsure].flatten()[plain[-1].low_res[unsure].flatten().argsort()]
    assert (ordered.diff() >= 0).all()


def test_padding_makes_nothing_sure() -> None:
    """The surest cell lies beside the image: it is not seen."""
    logits = torch.full((1, 1, 4, 4), 0.5)
    logits[..., 3, 3] = 9
    cells = torch.ones(1, 4, 4, dtype=torch.bool)
    assert torch.equal(silenced(logits, cells, 0.9), logits)
    cells[:, 3] = False
    assert (silenced(logits, cells, 0.9)[..., :3, :] < 0).all()


@pytest.mark.parametrize("peak", [0.4, 1.0])
def test_a_peak_is_a_probability_that_marks_may_have(peak: float) -> None:
    """What no mark can miss, or reach, is refused."""
    with pytest.raises(InputError, match="give a probability"):
        SamSP(peak=peak)
