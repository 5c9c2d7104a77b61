import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from samdomain import load_adapter
from samdomain.cli import main
from samdomain.recipes import SamSP
from samdomain.training.epoch_log import read_csv

Config = Callable[..., Path]


@pytest.fixture
def fit(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., dict[str, Any]]:
    """Train into a folder below the test's own; return what was reported."""

    def call(config: Path, out: str, *words: str) -> dict[str, Any]:
        line = ["fit", "--config", str(config), "--out", str(tmp_path / out), "--json", *words]
        code = main(line)
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    return call


def lasting(epochs: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "max_epochs": epochs, "enable_progress_bar": False, "accelerator": "cpu", **changes
    }  # fmt: skip


def figures(run: Path) -> Any:
    """The figures of a run that do not depend on the clock."""
    metrics = json.loads((run / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name != "seconds"}


def test_a_short_fit_lowers_the_loss(trained: Path) -> None:
    """Epoch by epoch it falls."""
    losses = [row["train/loss"] for row in read_csv(trained / "log.csv")]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 3


def test_a_run_folder_has_all_there_is(trained: Path) -> None:
    """Config, versions, tables, a picture, checkpoints and an adapter, and nothing half-written."""
    names = {path.name for path in trained.iterdir()}
    assert names - {"tensorboard"} == {
        "adapter", "checkpoints", "config.yaml", "curves.png", "log.csv", "metrics.json",
        "val.csv", "versions.json",
    }  # fmt: skip
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")
    best = max(row["val/dice"] for row in read_csv(trained / "log.csv"))
    assert figures(trained)["val"]["dice"] == pytest.approx(best)
    card = load_adapter(trained / "adapter").adapter.card
    assert (card.recipe, card.output, card.metrics["seed"]) == ("sam_sp", "semantic", 0)


def test_a_run_repeats_itself(trained: Path, fit: Any, tmp_path: Path) -> None:
    """The config in a run's folder gives the same figures again."""
    fit(trained, "again")
    assert figures(tmp_path / "again") == figures(trained)
    assert (tmp_path / "again/log.csv").read_text() == (trained / "log.csv").read_text()


def test_bf16_and_accumulation_train(config: Config, fit: Any, tmp_path: Path) -> None:
    """Autocast and added-up gradients lower the loss; what is kept stays in full precision."""
    fit(config(), "run", "--trainer.precision=bf16-mixed", "--trainer.accumulate_grad_batches=2")
    rows = read_csv(tmp_path / "run/log.csv")
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[1]["train/loss"] < rows[0]["train/loss"]
    (weights,) = (tmp_path / "run/adapter").glob("adapter_model.safetensors")
    assert {one.dtype for one in load_file(weights).values()} == {torch.float32}


def test_cached_equals_uncached(config: Config, fit: Any) -> None:
    """Features from disk give the figures of features that are computed, up to half precision."""
    options = {"tuning": {"injections": [], "parts": ["decoder"]}}
    recipe = {"name": "sam_sp", "options": options}
    base = {"weights": "tiny"}
    cached, plain = (
        fit(
            config(model={"recipe": recipe, "base": base, "cache": cache}, trainer=lasting(1)),
            f"cache-{cache}",
        )
        for cache in (True, False)
    )
    assert cached["val"] == pytest.approx(plain["val"], abs=0.02)


def test_stages_follow_one_another(config: Config, fit: Any, tmp_path: Path) -> None:
    """A recipe with two stages trains both, in one table, into one adapter."""
    model = {"recipe": {"name": "samlp"}, "base": {"weights": "tiny"}}
    fit(config(model=model, trainer=lasting(2)), "run")
    rows = read_csv(tmp_path / "run/log.csv")
    assert [row["stage"] for row in rows] == [1, 2]
    assert load_adapter(tmp_path / "run/adapter").adapter.card.recipe == "samlp"


def test_seeds_have_mean_and_spread(config: Config, fit: Any, tmp_path: Path) -> None:
    """Each seed has a run of its own; the table over them stands above."""
    told = fit(config(trainer=lasting(1)), "runs", "--seeds", "0,1")
    assert told["seeds"] == [0, 1]
    assert "±" in told["val"]["dice"]
    values = [figures(tmp_path / f"runs/seed-{seed}")["val"]["dice"] for seed in (0, 1)]
    row = (tmp_path / "runs/metrics.csv").read_text().splitlines()[1].split(",")
    assert float(row[1]) == pytest.approx(sum(values) / 2)


def test_resumed_equals_undisturbed(trained: Path, fit: Any, tmp_path: Path) -> None:
    """A run that was interrupted in its second epoch goes on, and ends as it would have."""
    half = tmp_path / "half"
    interrupted(trained, half, epoch=1)
    assert not (half / "metrics.json").exists()
    fit(trained, "half", "--resume")
    assert figures(half) == figures(trained)
    assert (half / "log.csv").read_text() == (trained / "log.csv").read_text()
    states = [load_adapter(one / "adapter").sam.state_dict() for one in (half, trained)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def interrupted(path: Path, out: Path, epoch: int) -> None:
    """Train until the loss of an epoch, where somebody interrupts."""
    forward = SamSP.forward
    steps = iter(range(1000))

    def stop(self: SamSP, sam: Any, batch: Any) -> Any:
        if next(steps) >= 2 * epoch:  # two batches an epoch
            raise KeyboardInterrupt
        return forward(self, sam, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SamSP, "forward", stop)
        assert main(["fit", "--config", str(path), "--out", str(out)]) == 3


@pytest.mark.slow
def test_a_killed_run_goes_on(config: Config, fit: Any, tmp_path: Path) -> None:
    """After kill -9 a run ends as an undisturbed one."""
    path = config(trainer=lasting(12))
    fit(path, "whole")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "samdomain", "fit", "--config", str(path), "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not (out / "checkpoints/stage-1/last.ckpt").exists():
            time.sleep(0.05)
        process.kill()
    assert not (out / "metrics.json").exists()
    fit(path, "killed", "--resume")
    assert figures(out) == figures(tmp_path / "whole")


def test_a_done_run_is_not_trained_again(
    trained: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--resume of a run that is done tells its figures."""
    monkeypatch.delattr(SamSP, "forward")
    code = main(["fit", "--config", str(trained), "--resume", "--json"])
    assert code == 0
    assert json.loads(capsys.readouterr().out)["val"] == figures(trained)["val"]


def test_nan_stops_with_the_image(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image whose loss is not finite is named, and the exit code says stopped."""
    loss = SamSP.loss

    def broken(self: SamSP, outputs: Any, batch: Any) -> dict[str, torch.Tensor]:
        bad = torch.tensor(float("nan") if "4" in batch.names else 0.0)
        return {**loss(self, outputs, batch), "bad": bad}

    monkeypatch.setattr(SamSP, "loss", broken)
    code = main(["fit", "--config", str(config()), "--out", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert code == 3
    assert "'4'" in told
    assert "'3'" not in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.foldr", "x"], "foldr"),
        (["--data.folder", "nowhere"], "nowhere is no folder"),
        (["--data.limit", "99"], "1 to 6"),
        (["--model.recipe.name", "nope"], "samlp"),
        (["--model.recipe.preset", "nope"], "recommended"),
        (["--model.recipe.options", '{"beta": 1}'], "alpha"),
        (["--model.base.weights", "nope"], "nope"),
        (["--seeds", "one"], "0,1,2"),
        (["--seeds", "1,1"], "once"),
        (["--trainer.max_epochs", "0"], "one epoch"),
        (["--config", "nope"], "nope"),
    ],
)
def test_wrong_input_is_one_line(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str], message: str
) -> None:
    """The line names what is wrong; nothing was trained."""
    code = main(["fit", "--config", str(config()), "--out", str(tmp_path / "run"), *words])
    told = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert message in told[-1]
    assert len(told) == 1


def test_a_wrong_key_in_a_config_is_named(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture
) -> None:
    """The key is in the line."""
    path = config(data={"foldings": "x"})
    assert main(["fit", "--config", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "foldings" in capsys.readouterr().err


def test_a_run_is_not_overwritten_by_chance(
    trained: Path, fit: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Without --resume or --overwrite a folder with a run is left alone; so are other folders."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    line = ["fit", "--config", str(trained), "--out"]
    assert main([*line, str(run)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*line, str(run), "--resume", "--data.limit", "3"]) == 2
    assert "data.limit" in capsys.readouterr().err
    changes = ("--data.limit", "3", "--trainer.max_epochs", "1")
    fit(trained, "run", "--overwrite", *changes)
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["limit"] == 3
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").touch()
    assert main([*line, str(tmp_path / "notes"), "--overwrite"]) == 2
    assert "no run" in capsys.readouterr().err


def test_images_of_sixteen_bits_are_refused(
    config: Config, squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Weights that take 0 to 255 must not see more, which would fail silently."""
    for number in range(6):
        grey = np.full((32, 32), 4000, dtype=np.uint16)
        Image.fromarray(grey).save(squares / f"train/images/{number}.png")
    assert main(["fit", "--config", str(config()), "--out", str(tmp_path / "run")]) == 2
    assert "4000" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "run")
