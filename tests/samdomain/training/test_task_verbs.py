import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from samdomain.cli import main
from samdomain.segmenter import load_segmenter


def write_config(path: Path, **model: Any) -> Path:
    sections = {
        "model": {"class_path": "toy_task.ToyTask", "init_args": model},
        "data": {"class_path": "toy_task.ToyData"},
        "trainer": {"max_epochs": 2, "enable_progress_bar": False, "accelerator": "cpu"},
    }
    path.write_text(yaml.safe_dump(sections))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs; shared, so no test may change it."""
    folder = tmp_path_factory.mktemp("toys")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        config = write_config(folder / "toy.yaml")
        assert main(["fit", "--config", str(config), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The toys can be imported, and what is written without being told where is the test's own."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture, *words: str) -> dict[str, Any]:
    code = main([*words, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


def refused(capsys: pytest.CaptureFixture, *words: str) -> str:
    assert main(list(words)) == 2
    (line,) = (one for one in capsys.readouterr().err.splitlines() if "error:" in one)
    return line


def test_a_run_folder_has_all_there_is(run: Path) -> None:
    """Config, versions, figures, checkpoints and an adapter, and nothing half-written."""
    names = {path.name for path in run.iterdir()}
    assert names - {"tensorboard"} == {
        "adapter", "checkpoints", "config.yaml", "metrics.json", "versions.json",
    }  # fmt: skip
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    figures = json.loads((run / "metrics.json").read_text())
    assert figures["checkpoint"] == "checkpoints/best.ckpt"
    _, card = load_segmenter(run / "adapter")
    assert card.metrics["val_loss"] == pytest.approx(figures["last"]["val_loss"])


def test_a_run_repeats_itself(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The config in its folder gives the same figures again."""
    again = told(capsys, "fit", "--config", str(run), "--out", str(tmp_path / "again"))
    assert again["last"] == json.loads((run / "metrics.json").read_text())["last"]


def test_a_run_is_not_replaced(run: Path, capsys: pytest.CaptureFixture) -> None:
    """Not without --overwrite."""
    line = refused(capsys, "fit", "--config", str(run), "--out", str(run))
    assert "--resume goes on with it, --overwrite replaces it" in line


def test_a_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """From its last checkpoint, where the end is missing; one that is done is told again."""
    config, out = write_config(tmp_path / "toy.yaml"), tmp_path / "run"
    told(capsys, "fit", "--config", str(config), "--out", str(out))
    done = told(capsys, "fit", "--config", str(out), "--resume")
    (out / "metrics.json").unlink()
    shutil.rmtree(out / "adapter")
    more = told(capsys, "fit", "--config", str(out), "--resume")
    assert done["checkpoint"] == more["checkpoint"] == "checkpoints/best.ckpt"
    assert (out / "adapter/samdomain.json").is_file()


def test_the_best_checkpoint_is_measured(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """`validate` and `test` find it by the run, and write their figures down."""
    out = str(tmp_path / "out")
    best = load_segmenter(run / "adapter")[1].metrics["val_loss"]
    found = told(capsys, "validate", "--config", str(run), "--out", out)
    assert found["val_loss"] == pytest.approx(best)
    tested = told(capsys, "test", "--config", str(run), "--out", out)
    assert tested["test_loss"] == pytest.approx(best)
    assert json.loads((tmp_path / "out/test.json").read_text())["test_loss"] == tested["test_loss"]


def test_an_adapter_is_measured(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A config whose model starts from one needs no checkpoint."""
    config = write_config(tmp_path / "other.yaml", adapter=str(run / "adapter"))
    found = told(capsys, "test", "--config", str(config))
    best = load_segmenter(run / "adapter")[1].metrics["val_loss"]
    assert found["test_loss"] == pytest.approx(best)
    assert (tmp_path / "runs/other/test.json").is_file()


def test_predictions_are_pictures_of_classes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """One an image; each pixel is its class."""
    found = told(capsys, "predict", "--config", str(run), "--out", str(tmp_path / "out"))
    assert found["images"] == 4
    files = sorted((tmp_path / "out/predicted").iterdir())
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 32, 32, generator=chance) * 255
    segmenter, _ = load_segmenter(run / "adapter")
    expected = segmenter.probabilities(images).argmax(dim=1)
    assert np.array_equal(np.stack([np.asarray(Image.open(f)) for f in files]), expected)


def test_checkpoints_of_the_config_go_into_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """They keep their names and rules."""
    config = write_config(tmp_path / "toy.yaml")
    values = yaml.safe_load(config.read_text())
    named = {"monitor": "val_loss", "filename": "mine", "dirpath": "elsewhere"}
    kind = "lightning.pytorch.callbacks.ModelCheckpoint"
    values["trainer"]["callbacks"] = [{"class_path": kind, "init_args": named}]
    values["trainer"]["max_epochs"] = 1
    config.write_text(yaml.safe_dump(values))
    found = told(capsys, "fit", "--config", str(config))
    assert found["checkpoint"] == "checkpoints/mine.ckpt"
    assert (tmp_path / "runs/toy/checkpoints/last.ckpt").is_file()
    assert not (tmp_path / "elsewhere").exists()


def test_a_trial_leaves_no_adapter(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """`fast_dev_run` tries one batch of each kind."""
    config = write_config(tmp_path / "toy.yaml")
    found = told(capsys, "fit", "--config", str(config), "--trainer.fast_dev_run", "true")
    assert found.keys() == {"run", "last"}


def test_what_was_trained_has_to_be_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A plain config says nothing of it."""
    config = write_config(tmp_path / "toy.yaml")
    assert "--config RUN" in refused(capsys, "test", "--config", str(config))


def test_data_that_are_not_there_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """As torchgeo says it, exit code 2."""
    config = write_config(tmp_path / "toy.yaml")
    line = refused(capsys, "fit", "--config", str(config), "--data.init_args.folder", "away")
    assert line.endswith("there is nothing in away nor anywhere else")


def test_a_wrong_key_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Exit code 2, and nothing is written."""
    config = write_config(tmp_path / "toy.yaml", speed=3)
    assert "speed" in refused(capsys, "fit", "--config", str(config))
    assert not (tmp_path / "runs").exists()


def test_calibrate_is_for_recipes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It says so."""
    config = write_config(tmp_path / "toy.yaml")
    assert "is for recipes" in refused(capsys, "calibrate", "--config", str(config))
