"""The shipped configs fit their data sets, by torchgeo's command and by ours."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samdomain.cli import main
from samdomain.segmenter import load_segmenter
from samdomain_geo.domain import domain

Make = Callable[[str, Path], None]

pytestmark = [
    # torchgeo hands tensors to matplotlib
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in: torchgeo reads the numbers of Inria's images off their whole path."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flags(name: str, *more: str) -> list[str]:
    cropped = ["--data.init_args.patch_size=32"] if name != "loveda" else []
    return [
        f"--config={domain.configs() / name}.yaml",
        "--model.init_args.weights=tiny",
        "--model.init_args.input_size=64",
        "--data.dict_kwargs.root=data",
        "--data.init_args.num_workers=0",
        *cropped,
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        *more,
    ]


@pytest.mark.parametrize("name", ["loveda", "vaihingen2d", "potsdam2d", "inria", "levircd", "oscd"])
def test_a_config_fits_its_data(
    name: str, make_data: Make, home: Path, capsys: pytest.CaptureFixture
) -> None:
    """One batch of each split, through `samdomain fit`."""
    make_data(name, home / "data")
    words = flags(name, "--trainer.fast_dev_run=true", "--out=run")
    code = main(["fit", *words, "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    figures = json.loads(told.out)["last"]
    assert figures["train_loss"] > 0
    assert figures["val_loss"] > 0


def test_torchgeos_command_trains(make_data: Make, home: Path) -> None:
    """`torchgeo fit` takes the config, and leaves an adapter beside its checkpoints."""
    make_data("inria", home / "data")
    words = flags("inria", "--trainer.max_epochs=1")
    command = [sys.executable, "-m", "torchgeo", "fit", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (adapter,) = home.glob("lightning_logs/version_0/adapter")
    segmenter, card = load_segmenter(adapter)
    assert segmenter(torch.rand(1, 3, 32, 32) * 255).shape == (1, 1, 32, 32)
    assert (card.classes, card.chip_size) == (("building",), 32)
    assert "val_loss" in card.metrics
