from dataclasses import replace

import pytest
import torch

from samdomain import encode, load_sam, trainable_parameters
from samdomain.classes import classify
from samdomain.errors import InputError
from samdomain.injection import injections
from samdomain.losses import class_loss, dice_loss
from samdomain.prompting import low_res_masks
from samdomain.recipes import Batch, ClassCost, Legend, SAMed, preset
from samdomain.sam import Sam
from samdomain.training.tallies import ClassTally

THREE = ("field", "water", "road")


def land(side: int = 64) -> Batch:
    """An image of three bands of colour, and their classes."""
    generator = torch.Generator().manual_seed(3)
    image = torch.rand((3, side, side), generator=generator) * 40
    classes = torch.zeros(side, side, dtype=torch.long)
    for k in range(3):
        rows = slice(k * side // 3, (k + 1) * side // 3)
        image[k, rows] += 180
        classes[rows] = k
    return Batch(image[None], [classes])


def test_it_learns_three_classes(sam: Sam, fit) -> None:
    """After sixty steps most pixels have their class."""
    recipe = SAMed(THREE)
    fit(sam, recipe, land(), 60)
    figures = recipe.measure(sam.eval(), land())
    assert figures["accuracy"].item() > 0.9
    assert figures["miou"].item() > 0.8


def test_the_loss_is_cross_entropy_and_dice(sam: Sam) -> None:
    """By the losses of their own: 0.2 and 0.8, Dice of each class over the batch."""
    recipe = SAMed(THREE)
    recipe.adapt(sam)
    batch = land()
    outputs = recipe.forward(sam, batch)
    logits = outputs["classes"].prediction.low_res
    frame = outputs["classes"].prediction.frame
    planes = [batch.masks[0] == k for k in range(3)]
    shares = low_res_masks(planes, frame, 64, images=torch.zeros(3, dtype=torch.long))[None]
    terms = recipe.loss(outputs, batch)
    torch.testing.assert_close(terms["cross_entropy"], 0.2 * class_loss(logits, shares))
    log_odds = logits.softmax(1).logit()  # whose sigmoid is the probability
    torch.testing.assert_close(terms["dice"], 0.8 * dice_loss(log_odds[0], shares[0]))


def test_ignored_pixels_teach_nothing(sam: Sam) -> None:
    """Whatever the image shows there, the loss has no gradient at their logits."""
    recipe = SAMed(THREE)
    recipe.adapt(sam)
    classes = land().masks[0].clone()
    classes[:, 32:] = 255
    batch = Batch(land().images, [classes])
    outputs = recipe.forward(sam, batch)
    logits = outputs["classes"].prediction.low_res
    (gradient,) = torch.autograd.grad(sum(recipe.loss(outputs, batch).values()), logits)
    assert gradient[..., :30].abs().sum() > 0
    assert not gradient[..., 34:].any()


def test_ignored_pixels_are_not_measured(sam: Sam) -> None:
    """A map that is wrong only where nobody labelled is right."""
    recipe = SAMed(THREE)
    recipe.adapt(sam)
    answer = recipe.predict(sam, land().images).logits[0].argmax(0)
    answer[:10] = 255
    figures = recipe.measure(sam, Batch(land().images, [answer]))
    assert figures["miou"].item() == pytest.approx(1)
    assert figures["accuracy"].item() == pytest.approx(1)


def test_pooled_figures_are_of_all_pixels(sam: Sam) -> None:
    """A class of four pixels in one image and of many in the next counts by its pixels."""
    recipe = SAMed(("ground", "water", "never"))
    recipe.adapt(sam)
    image = land().images[0]
    found = recipe.predict(sam, image[None]).logits[0].argmax(0).clamp(max=1)
    few, many = found.clone(), found.clone()
    few[:2, :2] = 1 - few[:2, :2]
    many[:32] = 1 - many[:32]
    batches = [Batch(image[None], [one]) for one in (few, many)]
    rows = [recipe.measure(sam, one) for one in batches]
    means = {name: float(torch.cat([row[name] for row in rows]).mean()) for name in rows[0]}
    tally = ClassTally(recipe.legend)
    for one in batches:
        tally.add(recipe.predict(sam, one.images).logits[0], one)
    expected = tally.pooled()
    assert set(recipe.pooled(means)) == {"miou", "accuracy"} | set(expected) - {"pooled_accuracy"}
    for name in expected.keys() & recipe.pooled(means).keys():
        assert recipe.pooled(means)[name] == pytest.approx(expected[name])


def test_labels_may_overlap(sam: Sam, fit) -> None:
    """Two labels of one place are both found."""
    recipe = SAMed(("bright", "upper"), multilabel=True)
    image = land().images
    upper = torch.zeros(64, 64, dtype=torch.bool)
    upper[:21] = True
    whole = torch.ones(64, 64, dtype=torch.bool)
    batch = Batch(image, [torch.stack([whole, upper])])
    fit(sam, recipe, batch, 60)
    assert recipe.measure(sam.eval(), batch)["miou"].item() > 0.8


def test_class_weights_weigh(sam: Sam) -> None:
    """A class of weight 0 alone in the image leaves no cross-entropy."""
    recipe = SAMed(THREE, cost=ClassCost(weights=(0.0, 1.0, 1.0), dice=0.0))
    recipe.adapt(sam)
    batch = Batch(land().images, [torch.zeros(64, 64, dtype=torch.long)])
    assert recipe.loss(recipe.forward(sam, batch), batch)["cross_entropy"] == 0


def test_more_bands_than_three(fit) -> None:
    """Five bands go in, of which the base's three are where they were said to be."""
    sam = load_sam("tiny")
    recipe = SAMed(THREE, bands=5, rgb=(3, 2, 1))
    image = torch.cat(
        [torch.rand(1, 64, 64) * 255, land().images[0].flip(0), torch.rand(1, 64, 64)]
    )
    batch = Batch(image[None], land().masks)
    losses = fit(sam, recipe, batch, 8)
    assert losses[-1] < losses[0]
    assert sam.spec.input_channels == 5


def test_presets_train_what_they_say() -> None:
    """The paper's trains the whole decoder, the light one a small part."""
    counts: dict[str, int] = {}
    for name, recipe in SAMed.presets().items():
        sam = load_sam("tiny")
        recipe.adapt(sam)
        counts[name] = trainable_parameters(sam).trainable
        kinds = [one.injection.kind for one in injections(sam)]
        assert kinds[0] == ("pyramid_classes" if name == "pyramid" else "class_tokens")
    assert counts["paper"] > counts["recommended"]
    assert preset("samed", "paper").cost.squared


def test_untrained_values_keep_the_answer_to_prompts(sam: Sam) -> None:
    """Classes are asked beside prompts, with the same encoder."""
    recipe = SAMed(THREE)
    recipe.adapt(sam)
    embedding = encode(sam, land().images)
    torch.testing.assert_close(
        recipe.answer(sam, embedding).low_res, classify(sam, embedding).low_res
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": ()}, "give one or more different names"),
        ({"classes": ("a", "a")}, "give one or more different names"),
        ({"cost": ClassCost(weights=(1.0,))}, "1 weights were given for 3 classes"),
        ({"head": "conv"}, "allowed are tokens, pyramid"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_contradictions_are_refused(changes: dict, told: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match=told):
        replace(SAMed(THREE), **changes)


def test_foreign_values_are_refused() -> None:
    """A mask of a value without a class names the image and the value."""
    with pytest.raises(InputError, match=r"mask of 'a' holds 7: the 3 classes are 0 to 2"):
        Legend(THREE).planes(torch.full((2, 2), 7), "a")
    with pytest.raises(InputError, match="give the class of each pixel"):
        Legend(THREE).planes(torch.zeros(3, 2, 2), "a")
    with pytest.raises(InputError, match="one plane each, 3 in all"):
        Legend(THREE, overlapping=True).planes(torch.zeros(2, 2), "a")


def test_a_legend_decides() -> None:
    """One class a pixel by the largest logit, or each from one half on."""
    logits = torch.tensor([2.0, 1.0, -1.0]).reshape(3, 1, 1)
    assert Legend(THREE).decide(logits).flatten().tolist() == [True, False, False]
    overlapping = Legend(THREE, overlapping=True)
    assert overlapping.decide(logits).flatten().tolist() == [True, True, False]
    assert Legend(THREE).probabilities(logits).sum().item() == pytest.approx(1)
    assert overlapping.probabilities(logits)[0].item() == pytest.approx(0.8808, abs=1e-4)
