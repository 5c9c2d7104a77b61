import logging

import pytest
import torch
from torch import Tensor

from samdomain import Prompts, load_sam
from samdomain.errors import InputError, PromptError
from samdomain.recipes import Batch, Recipe, SAMed, SamSP, preset, total
from samdomain.sam import Sam
from samdomain.task_network import RecipeLoss, TaskNetwork
from samdomain.testing import move_trained

IMAGES = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))


def adapted(recipe: Recipe) -> Sam:
    sam = load_sam("tiny")
    recipe.adapt(sam)
    return move_trained(sam).train()


def discs() -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(56), indexing="ij")
    return torch.stack([((rows - 20) ** 2 + (columns - c) ** 2 < 100) for c in (20, 30)])


def test_values_become_those_that_weights_know() -> None:
    """Black is 0 and white is 255, whatever they are in the data."""
    recipe = preset("sam_sp")
    sam = adapted(recipe).eval()
    expected = recipe.predict(sam, IMAGES * 255).logits
    network = TaskNetwork(sam, recipe, (-1.0, 1.0)).eval()
    torch.testing.assert_close(network(IMAGES * 2 - 1), expected, rtol=1e-3, atol=1e-4)


# A network sees no masks, and so asks by no true box.
@pytest.mark.parametrize("recipe", [SamSP(rehearsal=0.0), SAMed(("ground", "disc"))])
def test_the_loss_is_the_recipes(recipe: Recipe) -> None:
    """Network and criterion together cost what a step of the recipe costs, first pass included."""
    sam, masks = adapted(recipe), discs()
    true = list(masks) if recipe.name == "sam_sp" else list(masks.long())
    batch = Batch(IMAGES * 255, true)
    torch.manual_seed(0)
    expected = total(recipe.loss(recipe.forward(sam, batch), batch))
    network = TaskNetwork(sam, recipe).train()
    loss = RecipeLoss(network)
    torch.manual_seed(0)
    found = loss(network(IMAGES), masks.long()[:, None])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    assert any(one.grad is not None and one.grad.any() for one in network.parameters())


def test_pixels_that_do_not_count_are_left_out() -> None:
    """What stands in them makes no difference."""
    recipe = SAMed(("ground", "disc"))
    network = TaskNetwork(adapted(recipe), recipe).eval()
    loss, masks = RecipeLoss(network, ignored=7), discs().long()
    masks[:, :8] = 7
    one = loss(network(IMAGES), masks)
    masks[:, :8] = 255  # the recipe's own word for it
    assert torch.equal(loss(network(IMAGES), masks), one)
    masks[:, :8] = 1
    assert not torch.allclose(loss(network(IMAGES), masks), one)


def test_classes_may_be_floats_that_are_whole() -> None:
    """As other libraries load them; fractions are refused."""
    recipe = SAMed(("ground", "disc"))
    network = TaskNetwork(adapted(recipe), recipe).eval()
    loss, masks = RecipeLoss(network), discs().long()[:, None]
    one = loss(network(IMAGES), masks)
    assert torch.equal(loss(network(IMAGES), masks.float()), one)
    with pytest.raises(InputError, match="fractions"):
        loss(network(IMAGES), masks / 2)


def test_prompts_are_answered_one_mask_each() -> None:
    """Also by a recipe that finds nothing without them."""
    recipe = preset("sam")
    network = TaskNetwork(adapted(recipe), recipe).eval()
    boxes = torch.tensor([[4.0, 4, 30, 30], [8, 8, 20, 30], [2, 2, 50, 38]])
    prompts = Prompts(boxes=boxes, images=torch.tensor([0, 0, 1]))
    assert network(IMAGES, prompts).shape == (3, 1, 40, 56)
    with pytest.raises(PromptError):
        network(IMAGES)


def test_a_recipe_that_learns_from_prompts_has_no_criterion() -> None:
    """The message says what has one."""
    recipe = preset("samlp")
    with pytest.raises(InputError, match="sam_sp or samed"):
        RecipeLoss(TaskNetwork(adapted(recipe), recipe))


def test_values_of_another_range_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Far outside they are an error; hardly above black, a warning."""
    recipe = preset("sam_sp")
    sam = adapted(recipe).eval()
    with pytest.raises(InputError, match="0 to 1"):
        TaskNetwork(sam, recipe)(IMAGES * 255)
    with caplog.at_level(logging.WARNING):
        TaskNetwork(sam, recipe)(IMAGES / 255)
    assert "hardly anything" in caplog.text
