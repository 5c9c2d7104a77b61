"""Trainings of recipes that name every pixel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samdomain import load_segmenter
from samdomain.adapter_file import read_adapter
from samdomain.cli import main
from samdomain.recipes import Batch, Legend
from samdomain.training.pictures import read_values
from samdomain.training.tallies import ClassTally


def write_land(folder: Path, numbers: range) -> Path:
    """Images of three bands of colour, one a class, of which the last columns are unlabelled."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        chance = np.random.default_rng(number)
        image = chance.integers(0, 40, (48, 48, 3), dtype=np.uint8)
        mask = np.zeros((48, 48), np.uint8)
        for place, k in enumerate(chance.permutation(3)):
            rows = slice(16 * place, 16 * (place + 1))
            image[rows, :, k] += 180
            mask[rows] = k
        mask[:, 40:] = 255
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


@pytest.fixture
def land(tmp_path: Path) -> Path:
    """Four images for training, two each for validation and test."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        write_land(tmp_path / "land" / split, numbers)
    return tmp_path / "land"


@pytest.mark.parametrize("preset", ["recommended", "pyramid"])
def test_classes_are_trained_measured_and_predicted(
    config: Callable[..., Path],
    land: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    preset: str,
) -> None:
    """From folders of images and classes to an adapter, a table of the test, and masks."""
    names = ["field", "water", "road"]
    objects = {"class_path": "samdomain.training.objects.Classes"}
    folders = {
        "class_path": "samdomain.training.folders.Folders",
        "init_args": {"objects": objects},
    }
    chips = {
        "class_path": "samdomain.training.chipped.Chipped",
        "init_args": {"source": folders, "size": 32},
    }
    recipe = {"name": "samed", "preset": preset, "options": {"classes": names}}
    path = config(
        model={"recipe": recipe},
        data={"folder": str(land), "source": chips, "views": 1},
        trainer={"max_epochs": 6, "enable_progress_bar": False, "accelerator": "cpu"},
    )
    run = tmp_path / "run"
    assert main(["fit", "--config", str(path), "--out", str(run)]) == 0
    card = read_adapter(run / "adapter").card
    assert card.classes == tuple(names)
    assert card.chip_size == 32
    assert card.temperature > 0
    metrics = json.loads((run / "metrics.json").read_text())["val"]
    assert {"miou", "accuracy", "pooled_miou", "pooled_iou_water"} <= metrics.keys()
    assert main(["test", "--config", str(run)]) == 0
    out = tmp_path / "masks"
    images = land / "test/images"
    assert main(["predict", "--config", str(run), "--images", str(images), "--out", str(out)]) == 0
    capsys.readouterr()
    segmenter, _ = load_segmenter(run / "adapter")
    image = torch.as_tensor(np.array(Image.open(images / "6.png"))).permute(2, 0, 1).float()
    with torch.no_grad():
        expected = segmenter(image[None]).argmax(dim=1)[0]
    assert torch.equal(read_values(out / "6.png"), expected)


def test_pooled_figures_by_hand() -> None:
    """Of four pixels one is unlabelled, one wrong: IoU 1/2 each, accuracy 2/3."""
    tally = ClassTally(Legend(("a", "b", "never")))
    logits = torch.tensor([[[2.0, 2, -1, 0]], [[0, 0, 3, 1]], [[-9, -9, -9, -9]]])
    truth = torch.tensor([[0, 1, 1, 255]])
    assert tally.add(logits, Batch(torch.zeros(1, 3, 1, 4), [truth])) == {}
    assert tally.pooled() == pytest.approx(
        {
            "pooled_accuracy": 2 / 3,
            "pooled_miou": 0.5,
            "pooled_miou_true": 0.5,
            "pooled_iou_a": 0.5,
            "pooled_iou_b": 0.5,
        }
    )


def test_a_value_without_a_class_stops_before_training(
    config: Callable[..., Path], land: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The line names image and value."""
    recipe: dict[str, Any] = {"name": "samed", "options": {"classes": ["field", "water"]}}
    objects = {"class_path": "samdomain.training.objects.Classes"}
    source = {
        "class_path": "samdomain.training.folders.Folders",
        "init_args": {"objects": objects},
    }
    path = config(model={"recipe": recipe}, data={"folder": str(land), "source": source})
    assert main(["fit", "--config", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "holds 2" in capsys.readouterr().err
