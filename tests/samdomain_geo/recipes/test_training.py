"""`samdomain fit` and `test` on folders A, B and label."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

pytest.importorskip("lightning")

from samdomain.cli import main
from samdomain.training.config_names import shipped_configs
from samdomain_geo.changes.segmenter import load_change

SIZE = 32


def write_places(folder: Path, numbers: range) -> None:
    """Noise, in whose later dates a bright square has come."""
    for number in numbers:
        chance = np.random.default_rng(number)
        dates = chance.integers(0, 80, (2, SIZE, SIZE, 3), dtype=np.uint8)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        top, left = chance.integers(2, SIZE // 2, 2)
        mask[top : top + 12, left : left + 12] = 255
        dates[1][mask > 0] = 220
        for name, pixels in (("A", dates[0]), ("B", dates[1]), ("label", mask)):
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The shipped config for small data and the tiny SAM."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8))):
        write_places(tmp_path / "places" / split, numbers)
    values = yaml.safe_load(shipped_configs()["building-change"].read_text())
    values["model"]["base"]["weights"] = "tiny"
    values["data"] |= {"folder": str(tmp_path / "places"), "views": 2}
    values["trainer"] |= {"max_epochs": 2, "enable_progress_bar": False, "accelerator": "cpu"}
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(values))
    return ["--config", str(config)]


def test_pairs_are_checked_trained_and_measured(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """From folders to an adapter, figures of validation by name, and a table of the test."""
    assert main(["fit", *words, "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == {"train": 4, "val": 2, "test": 2}
    run = tmp_path / "run"
    assert main(["fit", *words, "--out", str(run)]) == 0
    metrics = json.loads((run / "metrics.json").read_text())["val"]
    named = {"change_f1", "change_iou", "class_averaged_f1", "class_averaged_iou"}
    assert named | {"object_recall", "object_precision", "pair_f1"} <= metrics.keys()
    log = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    assert len(log) == 2
    assert {"val/change_f1", "train/temporal", "train/dice"} <= log[0].keys()
    segmenter, card = load_change(run / "adapter")
    assert (card.output, card.classes, card.chip_size) == ("change", ("change",), 256)
    assert (card.pixel_size, card.value_range) == (2.0, (0.0, 255.0))
    before, after = torch.rand(2, 1, 3, SIZE, SIZE) * 255
    assert segmenter.probability(before, after).shape == (1, 1, SIZE, SIZE)
    capsys.readouterr()
    assert main(["test", "--config", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(Path(told["table"]).read_text().splitlines()))
    assert [row["image"] for row in rows] == ["6@0,0", "7@0,0", "mean"]
    counts = {key: sum(int(row[f"pixels_{key}"]) for row in rows[:2]) for key in ("both", "found")}
    f1 = 2 * counts["both"] / (counts["found"] + 2 * 144)
    assert told["change_f1"] == pytest.approx(f1)


def test_predict_needs_two_folders(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """One folder of images has no second dates: the line says which command takes pairs."""
    images = tmp_path / "places/test/A"
    run = tmp_path / "run"
    assert main(["fit", *words, "--trainer.max_epochs=1", "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["predict", "--config", str(run), "--images", str(images)]) == 2
    assert "samdomain change" in capsys.readouterr().err
