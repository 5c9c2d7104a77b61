"""The task of change in torchgeo's words does what the recipe does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from samdomain import load_sam
from samdomain.errors import InputError
from samdomain.recipes import Batch, preset, total
from samdomain_geo.changes.segmenter import load_change
from samdomain_geo.tasks import SamChangeDetection

SIZE = 48


def make_task(**changes: Any) -> SamChangeDetection:
    return SamChangeDetection(**{"weights": "tiny", **changes})


@pytest.fixture
def pairs() -> dict[str, Tensor]:
    """Two pairs (B, T=2, C, H, W) of 0 to 1, in whose second dates a square has come."""
    image = torch.rand(2, 2, 3, SIZE, SIZE) * 0.3
    mask = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.long)
    mask[:, :, 10:30, 8:28] = 1
    image[:, 1] += 0.6 * mask
    return {"image": image, "mask": mask}


def stacked(image: Tensor) -> Tensor:
    return image.flatten(1, 2)


def test_the_loss_is_that_of_the_recipe(pairs: dict[str, Tensor]) -> None:
    """Pairs from 0 to 1, their bands stacked, give what the recipe makes of 0 to 255."""
    torch.manual_seed(1)
    task = make_task()
    found = task.criterion(task(stacked(pairs["image"])), pairs["mask"])
    torch.manual_seed(1)
    recipe, sam = preset("sam_cd"), load_sam("tiny")
    recipe.adapt(sam)
    masks = [mask > 0 for mask in pairs["mask"]]
    own = Batch(pairs["image"] * 255, masks, value_range=(0.0, 255.0))
    expected = total(recipe.loss(recipe.forward(sam.train(), own), own))
    torch.testing.assert_close(found, expected)


def test_ignored_pixels_do_not_count(pairs: dict[str, Tensor]) -> None:
    """A pair that nobody labelled costs nothing; without the word its value is a change."""
    image, mask = stacked(pairs["image"]), torch.full_like(pairs["mask"], 255)
    task = make_task(ignore_index=255)
    assert task.criterion(task(image), mask).abs() < 1e-6
    task = make_task()
    assert task.criterion(task(image), mask) > 0.1


def test_a_fit_leaves_an_adapter(pairs: dict[str, Tensor], tmp_path: Path) -> None:
    """Torchgeo's steps train the head, and the adapter answers as the task does."""
    task = make_task(pixel_size=0.5)
    samples = [{key: one[i] for key, one in pairs.items()} for i in range(2)]
    loader = DataLoader(samples, batch_size=2)
    trainer = Trainer(
        max_epochs=2,
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(task, loader, loader)
    assert {"train_loss", "val_loss", "val_BinaryF1Score"} <= trainer.callback_metrics.keys()
    (folder,) = tmp_path.rglob("adapter")
    segmenter, card = load_change(folder)
    assert (card.output, card.pixel_size, card.chip_size) == ("change", 0.5, SIZE)
    task.eval()
    with torch.no_grad():
        expected = task(stacked(pairs["image"])).sigmoid()
    found = segmenter.probability(pairs["image"][:, 0] * 255, pairs["image"][:, 1] * 255)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_predictions_say_where_they_are(pairs: dict[str, Tensor]) -> None:
    """Bounds and transform are the batch's, or unknown, beside the probability of a change."""
    task = make_task().eval()
    with torch.no_grad():
        found = task.predict_step({**pairs, "bounds": "here"}, 0)
        expected = task(stacked(pairs["image"])).sigmoid()
    torch.testing.assert_close(found["probabilities"], expected)
    assert (found["bounds"], found["transform"]) == ("here", None)


def test_standardised_values_are_cut_off() -> None:
    """A cloud far beyond white is white; the values of a range from 0 on are checked."""
    task = make_task(in_channels=4, value_range=(-3.0, 5.0)).eval()
    image = torch.randn(1, 8, SIZE, SIZE)
    image[..., :4] = 40.0
    with torch.no_grad():
        torch.testing.assert_close(task(image), task(image.clamp(max=5.0)))
    with pytest.raises(InputError, match="value_range"):
        make_task()(torch.full((1, 6, SIZE, SIZE), 255.0))


def test_the_encoder_may_train(pairs: dict[str, Tensor]) -> None:
    """A rank puts updates into its queries and values; torchgeo's losses train too."""
    task = make_task(encoder_rank=2, loss="dice")
    task.criterion(task(stacked(pairs["image"])), pairs["mask"]).backward()
    names = {name for name, one in task.named_parameters() if one.grad is not None}
    assert any("image_encoder" in name for name in names)
    assert not any(
        "image_encoder" in n for n, one in make_task().named_parameters() if one.requires_grad
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"preset": "best"}, "allowed are paper"),
        ({"task": "multiclass"}, "'binary'"),
        ({"num_classes": 2}, "num_classes is 2, but a pixel changed or did not"),
        ({"num_labels": 3}, "num_labels is 3"),
        ({"labels": ["new"]}, "nothing is named here"),
        ({"class_weights": torch.ones(2)}, "weigh changes by pos_weight with loss 'bce'"),
        ({"pos_weight": 2.0}, "loss 'sam_cd' does not look at it: leave it out"),
    ],
)
def test_words_without_effect_are_refused(
    words: dict[str, Any], told: str, unchecked: None
) -> None:
    """The message lists what there is, or says what to leave out."""
    with pytest.raises(InputError, match=told):
        make_task(**words)


@pytest.mark.parametrize("weight", [3.0, torch.tensor(3.0)])
def test_changes_may_weigh_more(weight: float | Tensor) -> None:
    """With torchgeo's BCE, as a number too: a logit of 0 costs log 2, three times where it is 1."""
    task = make_task(loss="bce", pos_weight=weight)
    cost = task.criterion(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 1.0]]]]))
    assert cost.item() == pytest.approx(2 * 0.6931472)
