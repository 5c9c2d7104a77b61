import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from samdomain import encode, load_sam
from samdomain.adapter_file import load_adapter
from samdomain.classes import classify
from samdomain.errors import InputError
from samdomain.recipes import Batch, SAMed, read_recipe, total
from samdomain.segmenter import load_segmenter
from samdomain_geo.tasks import SamSemanticSegmentation

Make = Callable[..., SamSemanticSegmentation]
Loss = Callable[[SamSemanticSegmentation, dict[str, Tensor]], Tensor]


def train(task: SamSemanticSegmentation, folder: Path, batch: dict[str, Tensor]) -> Trainer:
    """Fit two epochs of one batch, and measure on it."""
    samples = [{key: one[i] for key, one in batch.items()} for i in range(len(batch["image"]))]
    loader = DataLoader(samples, batch_size=2)
    trainer = Trainer(
        max_epochs=2,
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(task, loader, loader)
    return trainer


def test_the_loss_is_that_of_the_recipe(make_task: Make, batch: Any, loss: Loss) -> None:
    """Images from 0 to 1 give what the recipe makes of 0 to 255."""
    torch.manual_seed(1)
    found = loss(make_task(), batch)
    torch.manual_seed(1)
    recipe, sam = SAMed(("class 0", "class 1", "class 2")), load_sam("tiny")
    recipe.adapt(sam)
    own = Batch(batch["image"] * 255, list(batch["mask"]))
    expected = total(recipe.loss(recipe.forward(sam.train(), own), own))
    torch.testing.assert_close(found, expected)


def test_masks_may_have_a_channel(make_task: Make, batch: Any) -> None:
    """(B, 1, H, W) is (B, H, W)."""
    task = make_task()
    task.log = task.log_dict = lambda *_, **__: None
    flat = task.training_step(batch, 0)
    stacked = task.training_step({**batch, "mask": batch["mask"][:, None]}, 0)
    torch.testing.assert_close(flat, stacked)


def test_ignored_pixels_do_not_count(make_task: Make, batch: Any, loss: Loss) -> None:
    """Whatever stood there, the loss is the same; the ignored value may be a class."""
    task = make_task(ignore_index=0)
    mask = batch["mask"].clone()
    mask[:, :24] = 0
    image = batch["image"]
    with torch.no_grad():
        some = loss(task, {"image": image, "mask": mask})
        other = loss(
            make_task(ignore_index=255), {"image": image, "mask": mask.where(mask > 0, 255)}
        )
    torch.testing.assert_close(some, other)
    assert some != loss(make_task(), {"image": image, "mask": mask})


@pytest.mark.parametrize("word", ["ce", "jaccard", "focal"])
def test_losses_of_torchgeo_train_too(make_task: Make, batch: Any, loss: Loss, word: str) -> None:
    """They are of the logits at the image's size, and reach what trains."""
    task = make_task(loss=word)
    found = loss(task, batch)
    if word == "ce":
        expected = nn.functional.cross_entropy(task(batch["image"]), batch["mask"])
        torch.testing.assert_close(found, expected)
    found.backward()
    assert all(one.grad is None for one in task.parameters() if not one.requires_grad)
    assert any(one.grad is not None for one in task.parameters())


def test_binary_is_one_label(make_task: Make, batch: Any, loss: Loss) -> None:
    """One sigmoid a pixel, by the recipe's loss or torchgeo's; ignored pixels do not count."""
    given = {"image": batch["image"], "mask": (batch["mask"] == 1).long()}
    task = make_task(task="binary", num_classes=None, ignore_index=255)
    assert task(given["image"]).shape == (2, 1, 48, 48)
    with torch.no_grad():
        found = loss(task, given)
        unlabelled = given["mask"].clone()
        unlabelled[:, :, :24] = 255
        assert loss(task, {**given, "mask": unlabelled}) != found
        everything = torch.full_like(unlabelled, 255)
        assert loss(task, {**given, "mask": everything}).isfinite()
    bce = make_task(task="binary", num_classes=None, loss="bce")
    given["mask"] = given["mask"].float()
    assert loss(bce, given).isfinite()
    probabilities = task.predict_step(given, 0)["probabilities"]
    torch.testing.assert_close(probabilities, task(given["image"]).sigmoid())


def test_positive_pixels_may_weigh_more(make_task: Make, batch: Any) -> None:
    """In all releases of torchgeo: a logit of 0 costs log 2, three times that where it is 1."""
    words = {"task": "binary", "num_classes": None, "loss": "bce"}
    for weight in (torch.tensor(3.0), 3.0, [3.0]):
        task = make_task(**words, pos_weight=weight)
        cost = task.criterion(torch.zeros(1, 1, 2), torch.tensor([[[0.0, 1.0]]]))
        assert cost.item() == pytest.approx(2 * 0.6931472)


def test_each_label_may_weigh_otherwise(make_task: Make) -> None:
    """A list has a weight for each plane."""
    words = {"task": "multilabel", "num_classes": None, "num_labels": 2, "loss": "bce"}
    task = make_task(**words, pos_weight=[3.0, 5.0])
    cost = task.criterion(torch.zeros(1, 2, 4, 3), torch.ones(1, 2, 4, 3))
    assert cost.item() == pytest.approx(4 * 0.6931472)


def test_classes_may_weigh_otherwise(make_task: Make, batch: Any, loss: Loss) -> None:
    """By the recipe's loss and by torchgeo's cross-entropy."""
    for word in ("samed", "ce"):
        torch.manual_seed(0)
        plain = make_task(loss=word)
        torch.manual_seed(0)
        weighted = make_task(loss=word, class_weights=[1.0, 1.0, 9.0])
        assert loss(plain, batch) != loss(weighted, batch)


def test_labels_may_overlap(make_task: Make, batch: Any, loss: Loss) -> None:
    """Multilabel takes a plane a label."""
    planes = torch.stack([batch["mask"] < 2, batch["mask"] > 0], dim=1).long()
    task = make_task(task="multilabel", num_classes=None, num_labels=2, labels=["low", "high"])
    assert task.model.recipe.classes == ("low", "high")
    assert loss(task, {"image": batch["image"], "mask": planes}).isfinite()


def test_predictions_say_where_they_are(make_task: Make, batch: Any) -> None:
    """Probabilities add up to one, and bounds and transform are the batch's."""
    found = make_task().predict_step({**batch, "bounds": "here", "transform": "so"}, 0)
    torch.testing.assert_close(found["probabilities"].sum(dim=1), torch.ones(2, 48, 48))
    assert (found["bounds"], found["transform"]) == ("here", "so")


def test_only_what_trains_is_optimised(make_task: Make) -> None:
    """The optimiser knows no frozen parameter; the decoder alone trains on a frozen backbone."""
    task = make_task(lr=0.02)
    (group,) = task.configure_optimizers()["optimizer"].param_groups
    assert group["lr"] == 0.02
    assert len(group["params"]) == sum(one.requires_grad for one in task.parameters())
    frozen = dict(make_task(freeze_backbone=True).named_parameters())
    trained = {name for name, one in frozen.items() if one.requires_grad}
    assert trained
    assert not any("image_encoder" in name for name in trained)


def test_frozen_norms_stay_in_evaluation(make_task: Make) -> None:
    """The task is in training when it is made, but for batch norms that do not train."""
    task = make_task().train()
    norms = [one for one in task.modules() if isinstance(one, nn.BatchNorm2d)]
    assert task.model.sam.mask_decoder.training
    assert not any(one.training for one in norms if not one.weight.requires_grad)


def test_a_fit_ends_in_an_adapter(make_task: Make, batch: Any, tmp_path: Path) -> None:
    """It stands beside the checkpoints, and a segmenter with it answers as the task does."""
    task = make_task(labels=["red", "green", "blue"], lr=0.01, pixel_size=0.3)
    trainer = train(task, tmp_path, batch)
    names = set(trainer.callback_metrics)
    assert {"train_loss", "val_loss"} < names
    assert any(name.startswith("val_") and "Accuracy" in name for name in names)
    segmenter, card = load_segmenter(tmp_path / "adapter")
    assert (card.recipe, card.output) == ("samed", "semantic")
    assert (card.chip_size, card.pixel_size, card.value_range) == (48, 0.3, (0.0, 255.0))
    assert card.classes == ("red", "green", "blue")
    task.eval()
    torch.testing.assert_close(segmenter(batch["image"] * 255), task(batch["image"]))


def test_a_checkpoint_makes_the_task_again(make_task: Make, batch: Any, tmp_path: Path) -> None:
    """Lightning's own, loaded without pickled code."""
    task = make_task(lr=0.01)
    path = train(task, tmp_path, batch).checkpoint_callback.best_model_path
    again = SamSemanticSegmentation.load_from_checkpoint(path, weights_only=True)
    assert again.hparams == task.hparams
    torch.testing.assert_close(again.eval()(batch["image"]), task.eval()(batch["image"]))


def test_training_goes_on_from_an_adapter(make_task: Make, batch: Any, tmp_path: Path) -> None:
    """The task begins where the adapter ends; its own recipe can be read from the card."""
    task = make_task()
    for one in task.parameters():
        if one.requires_grad:
            one.data += 0.1
    task.save_adapter(tmp_path / "first", {"val_loss": 0.5})
    card = load_adapter(tmp_path / "first").adapter.card
    assert card.metrics == {"val_loss": 0.5}
    assert read_recipe(card.recipe, card.options) == task.model.recipe
    again = make_task(adapter=str(tmp_path / "first"))
    torch.testing.assert_close(again.eval()(batch["image"]), task.eval()(batch["image"]))


def test_all_images_have_one_range(make_task: Make, batch: Any) -> None:
    """Weights that scale by minimum and maximum get those of the range, not of each image."""
    task = make_task().eval()
    sam = task.model.sam
    sam.spec = replace(sam.spec, scaling="minmax", pixel_mean=(0.5,) * 3, pixel_std=(0.5,) * 3)
    expected = classify(sam, encode(sam, batch["image"] * 255, (0.0, 255.0))).logits
    torch.testing.assert_close(task(batch["image"]), expected)


def test_values_far_outside_are_refused(make_task: Make, batch: Any) -> None:
    """Eight bits, where 0 to 1 was said, name both ranges; said rightly they give the same."""
    with pytest.raises(InputError, match=r"value_range is 0 to 1: give"):
        make_task()(batch["image"] * 255)
    given = make_task(value_range=(0, 255)).eval()(batch["image"] * 255)
    torch.testing.assert_close(given, make_task().eval()(batch["image"]))


def test_faint_values_are_warned_of(
    make_task: Make, batch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Images from 0 to 1 are black where 255 is white; it is said once."""
    task = make_task(value_range=(0, 255))
    task(batch["image"])
    task(batch["image"])
    assert caplog.text.count("hardly anything") == 1


def test_more_bands_are_taken(make_task: Make) -> None:
    """Four bands, whose first three are not red, green and blue."""
    task = make_task(in_channels=4, rgb=(2, 1, 0)).eval()
    image = torch.rand(1, 4, 48, 48)
    expected = make_task().eval()(image[:, [2, 1, 0]])
    torch.testing.assert_close(task(image), expected)


def test_a_task_can_be_copied(make_task: Make, batch: Any, loss: Loss) -> None:
    """After a step nothing of it is left behind."""
    task = make_task()
    loss(task, batch)
    copy.deepcopy(task)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": None}, "give num_classes"),
        ({"task": "multilabel"}, "give num_labels"),
        ({"task": "other"}, "allowed are binary"),
        ({"labels": ["one"]}, "1 labels are named for 3 classes"),
        ({"preset": "best"}, "allowed are paper"),
        ({"class_weights": [1.0]}, "1 weights were given for 3 classes"),
        ({"class_weights": [1.0] * 3, "loss": "focal"}, "take loss 'samed' or 'ce'"),
        ({"pos_weight": 2.0}, "loss 'samed' does not look at it: leave it out, or take loss 'bce'"),
        ({"value_range": (1, 1)}, "give black, then white"),
        ({"adapter": "nowhere"}, "neither a folder nor shipped"),
        ({"loss": "unheard"}, "does not have"),
    ],
)
def test_wrong_words_are_refused(make_task: Make, changes: dict, message: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match=message):
        make_task(**changes)
