import copy
from dataclasses import replace

import pytest
import torch

from samdomain import decode, encode, load_sam, trainable_parameters
from samdomain.losses import ambiguity_loss, iou_loss
from samdomain.prompting import best_alternatives, central_clicks
from samdomain.recipes import Batch, Promptable, preset
from samdomain.recipes.objects import choose_objects
from samdomain.recipes.sam import click_by_click
from samdomain.sam import Sam


def test_the_paper_has_eleven_rounds(sam: Sam, batch: Batch) -> None:
    """One first prompt, eight corrections and two rounds without a new click."""
    assert len(preset("sam", "paper").forward(sam, batch)) == 11


def test_loss_is_twenty_to_one_to_one(sam: Sam, batch: Batch) -> None:
    """Each round costs 20 focal + dice of its best mask, and the error of every estimate."""
    recipe = Promptable(corrections=0, box_share=0.0, multimask_share=1.0)
    outputs = recipe.forward(sam, batch)
    (answer,) = outputs.values()
    logits, iou = answer.prediction.low_res, answer.prediction.iou
    assert logits.shape[1] == 3  # one click is ambiguous
    terms = recipe.loss(outputs, batch)
    torch.testing.assert_close(terms["masks"], ambiguity_loss(logits, answer.target))
    three = answer.target[:, None].expand(logits.shape)
    torch.testing.assert_close(terms["iou"], iou_loss(iou, logits, three))


def test_objects_of_an_image_are_limited(sam: Sam, batch: Batch) -> None:
    """Of six objects in each of two images, two an image are asked for."""
    masks = []
    for _ in range(2):
        numbers = torch.zeros(64, 64, dtype=torch.int64)
        for i in range(6):
            numbers[10 * i : 10 * i + 5, :20] = i + 1
        masks.append(numbers)
    outputs = Promptable(objects=2, corrections=0).forward(sam, replace(batch, masks=masks))
    assert outputs["round_1"].prediction.images.tolist() == [0, 0, 1, 1]


def test_clicks_are_taught_to_weights_that_know_boxes(litemedsam: Sam) -> None:
    """The adapted model takes clicks, and keeps the embeddings of boxes; half a million train."""
    fresh = copy.deepcopy(litemedsam)
    Promptable().adapt(fresh)
    table = trainable_parameters(fresh)
    assert fresh.spec.prompts == {"box", "point", "mask"}
    trained = {part.part: part.trainable for part in table.parts}
    assert trained["mask_decoder"] + trained["prompt_encoder"] == 447_692
    assert trained["image_encoder"] == 71_168
    assert not any(f"point_embeddings.{corner}" in n for n in table.names for corner in (2, 3))


def test_masks_are_handed_back_by_chance(sam: Sam, batch: Batch) -> None:
    """With a share of 0 no later round has a mask prompt, which shows in its answer."""
    answers = []
    for share in (0.0, 1.0):
        torch.manual_seed(0)
        recipe = Promptable(corrections=1, mask_share=share)
        answers.append(recipe.forward(sam, batch)["round_2"].prediction.low_res)
    assert not torch.equal(*answers)


@pytest.mark.parametrize(("name", "several"), [("recommended", False), ("paper", True)])
def test_a_lone_click_has_the_meaning_that_was_taught(
    batch: Batch, name: str, several: bool
) -> None:
    """The one mask of what the field has; the paper's best of three."""
    sam = load_sam("tiny")
    recipe = preset("sam", name)
    recipe.adapt(sam)
    assert sam.spec.alternatives is several
    chosen = choose_objects(batch.objects(), 1, torch.Generator())
    clicks = central_clicks(chosen.masks, chosen.images)
    embedding = encode(sam.eval(), batch.images)
    expected = best_alternatives(decode(sam, embedding, clicks, multimask=several))
    found = recipe.answer(sam, embedding, clicks)
    assert torch.equal(found.low_res, expected.low_res)
    other = best_alternatives(decode(sam, embedding, clicks, multimask=not several))
    assert not torch.equal(found.low_res, other.low_res)


@pytest.mark.parametrize(("share", "masks"), [(0.0, [1, 1]), (1.0, [3, 1, 1])])
def test_nothing_is_asked_twice(sam: Sam, batch: Batch, share: float, masks: list[int]) -> None:
    """One correction: without masks, rounds that have no new click would repeat the last one.

    A first click that had three alternatives is asked again for the one mask.
    """
    recipe = Promptable(corrections=1, box_share=0.0, mask_share=0.0, multimask_share=share)
    outputs = recipe.forward(sam, batch)
    assert [one.prediction.low_res.shape[1] for one in outputs.values()] == masks


@pytest.mark.parametrize("seed", [0, 1])
def test_evaluation_clicks_do_not_depend_on_chance(sam: Sam, batch: Batch, seed: int) -> None:
    """The first click is the middle of the object; each later one adds to those before."""
    chosen = choose_objects(batch.objects(), 1, torch.Generator())
    embedding = encode(sam, batch.images)
    torch.manual_seed(seed)
    first = [one.low_res for one in click_by_click(sam, embedding, chosen, 3)]
    torch.manual_seed(seed + 5)
    second = [one.low_res for one in click_by_click(sam, embedding, chosen, 3)]
    assert len(first) == 3
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
