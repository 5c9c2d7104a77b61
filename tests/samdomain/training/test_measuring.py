import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from samdomain.cli import main


def told(capsys: pytest.CaptureFixture, *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_validate_repeats_the_figures_of_the_run(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The adapter's file gives what the model gave at the end of training."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    found = told(capsys, "validate", "--config", str(run))
    expected = json.loads((trained / "metrics.json").read_text())["val"]
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_test_writes_a_table(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One row an image, the means last."""
    found = told(capsys, "test", "--config", str(trained), "--out", str(tmp_path / "out"))
    with (tmp_path / "out/test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["8", "9", "mean"]
    assert float(rows[-1]["dice"]) == pytest.approx(found["dice"])
    mean = (float(rows[0]["image_iou"]) + float(rows[1]["image_iou"])) / 2
    assert found["image_iou"] == pytest.approx(mean)


def test_the_base_is_measured_too(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """`--adapter none` asks the base as it is."""
    words = ("test", "--config", str(trained), "--adapter", "none", "--out", str(tmp_path))
    assert told(capsys, *words)["masks"] == 2


def test_seeds_are_measured_together(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A folder of several seeds gives mean and spread."""
    for seed in (0, 1):
        shutil.copytree(trained, tmp_path / f"seed-{seed}")
    text = (trained / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("seeds:\n- 0", "seeds:\n- 0\n- 1"))
    found = told(capsys, "test", "--config", str(tmp_path))
    assert found["dice"].endswith("± 0.0000")
    assert (tmp_path / "seed-1/test.csv").exists()


def test_an_adapter_has_to_be_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A config that is no run says what to give."""
    config = tmp_path / "other.yaml"
    shutil.copy(trained / "config.yaml", config)
    assert main(["test", "--config", str(config)]) == 2
    assert "--adapter" in capsys.readouterr().err
