"""Folders A, B and label serve torchgeo's task of change."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DistributedSampler

from samdomain.cli import main
from samdomain.errors import InputError
from samdomain.training.chipped import Chipped
from samdomain.training.folders import Folders
from samdomain.training.looks import AsTheyAre, Temporal
from samdomain.training.pairs import Pairs
from samdomain.views import VIEWS
from samdomain_geo.data import PairDataModule

SIZE = 32


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Four places for training, two for validation and one for the test."""
    numbers = iter(range(99))
    for split, names in {"train": "abcd", "val": "ef", "test": "g"}.items():
        for name in names:
            chance = np.random.default_rng(next(numbers))
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[:8, :16] = 255
            before = chance.integers(0, 200, (SIZE, SIZE, 3), dtype=np.uint8)
            layers = {"A": before, "B": before + (mask[..., None] > 0) * np.uint8(50)}
            for folder, layer in {**layers, "label": mask}.items():
                write(tmp_path / "pairs" / split / folder / f"{name}.png", layer)
    return tmp_path / "pairs"


def test_batches_are_torchgeo_s(places: Path) -> None:
    """Two dates from 0 to 1, the earlier one first, and what changed."""
    module = PairDataModule(places, batch_size=2)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        batch = next(iter(loader))
        assert batch["image"].shape == (2, 2, 3, SIZE, SIZE)
        assert batch["mask"].shape == (2, 1, SIZE, SIZE)
        assert batch["mask"].dtype == torch.int64
        assert set(batch["mask"].unique().tolist()) == {0, 1}
    (batch,) = module.test_dataloader()
    before = np.array(Image.open(places / "test/A/g.png")).transpose(2, 0, 1)
    torch.testing.assert_close(batch["image"][0, 0], torch.as_tensor(before) / 255)
    assert batch["mask"][0, 0, :8, :16].all()
    assert batch["mask"].sum() == 8 * 16


def test_training_turns_and_swaps(places: Path) -> None:
    """Both dates turn with their mask; the variants are those of views and looks."""
    module = PairDataModule(places, Pairs(looks=Temporal(lights=2)), views=4)
    data = module.train_dataloader().dataset
    assert len(data) == 4 * 4 * 8
    plain, swapped, turned = data[0], data[4], data[8]
    assert torch.equal(swapped["image"], plain["image"].flip(0))
    assert torch.equal(turned["image"], VIEWS[1](plain["image"]))
    assert torch.equal(turned["mask"], VIEWS[1](plain["mask"]))
    as_they_are = PairDataModule(places, Pairs(looks=AsTheyAre()), views=1)
    assert len(as_they_are.train_dataloader().dataset) == 4


def test_chips_are_cut(places: Path) -> None:
    """A source that cuts gives chips; the sampler shares them out itself."""
    module = PairDataModule(places, Chipped(Pairs(), size=16))
    loader = module.train_dataloader()
    assert isinstance(loader.sampler, DistributedSampler)
    assert len(loader.sampler) == 16
    assert next(iter(loader))["image"].shape == (4, 2, 3, 16, 16)


def test_validation_is_taken_from_training_where_there_is_none(places: Path) -> None:
    """The share is that of the pairs, and none is in both."""
    for path in (places / "val").rglob("*.png"):
        path.unlink()
    module = PairDataModule(places, val_share=0.5)
    train, val = ({one.name for one in module.samples(s)} for s in ("train", "val"))
    assert len(train) == len(val) == 2
    assert not train & val


def spoilt() -> Iterator[tuple[str, str]]:
    yield "train/B/b.png", "b has one date only"
    yield "train/A/b.png", "b has one date only"
    yield "train/label/b.png", "b.png has no mask"


@pytest.mark.parametrize(("file", "told"), list(spoilt()))
def test_what_has_no_partner_is_refused(places: Path, file: str, told: str) -> None:
    """The message names the place, and what to do."""
    (places / file).unlink()
    with pytest.raises(InputError, match=rf"{told}.*: give each place one file"):
        PairDataModule(places).train_dataloader()


def test_many_files_without_partner_are_not_all_named(places: Path) -> None:
    """Five are, and the others are counted."""
    for i in range(7):
        write(places / f"train/label/x{i}.png", np.zeros((SIZE, SIZE), np.uint8))
    with pytest.raises(InputError, match=r"x4\.png has no image; and \d+ more: give each"):
        PairDataModule(places).train_dataloader()


def test_sizes_that_differ_are_refused(places: Path) -> None:
    """Between dates, from the mask, and between the pairs of a batch."""
    small, grey = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    write(places / "test/B/g.png", small)
    with pytest.raises(InputError, match=r"A/g\.png is .*give both dates on one grid"):
        next(iter(PairDataModule(places).test_dataloader()))
    write(places / "test/A/g.png", small)
    with pytest.raises(InputError, match="its masks"):
        next(iter(PairDataModule(places).test_dataloader()))
    for folder, pixels in {"A": small, "B": small, "label": grey}.items():
        write(places / f"val/{folder}/e.png", pixels)
    with pytest.raises(InputError, match="cannot be one batch: cut chips"):
        next(iter(PairDataModule(places).val_dataloader()))


def test_other_data_are_refused(places: Path, tmp_path: Path) -> None:
    """A folder that is not there, one without dates, and images of one date."""
    with pytest.raises(InputError, match="is no folder"):
        PairDataModule(tmp_path / "gone").train_dataloader()
    with pytest.raises(InputError, match="has no folder 'A'"):
        PairDataModule(tmp_path).train_dataloader()
    module = PairDataModule(places, Folders("A", "label"))
    with pytest.raises(InputError, match="give a source of pairs"):
        next(iter(module.val_dataloader()))


CONFIG = """
model:
  class_path: samdomain_geo.tasks.SamChangeDetection
  init_args: {weights: tiny, input_size: 64}
data:
  class_path: samdomain_geo.data.PairDataModule
  init_args:
    folder: pairs
    batch_size: 2
    source:
      class_path: samdomain.training.chipped.Chipped
      init_args:
        size: 16
        source:
          class_path: samdomain.training.pairs.Pairs
          init_args:
            looks: {class_path: samdomain.training.looks.Temporal, init_args: {lights: 4}}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}
"""


def test_both_commands_train_on_the_folders(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One config, by torchgeo's command and by ours, and the adapter beside it."""
    monkeypatch.chdir(places.parent)
    Path("pairs.yaml").write_text(CONFIG)
    code = main(["fit", "--config=pairs.yaml", "--out=run", "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert json.loads(told.out)["last"]["val_loss"] > 0
    assert Path("run/adapter").is_dir()
    command = [sys.executable, "-m", "torchgeo", "fit", "--config=pairs.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(Path("lightning_logs").glob("version_0/adapter"))


def test_what_a_class_refuses_is_told_in_its_words(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The parser wraps it; a user's mistake is no bug of ours."""
    monkeypatch.chdir(places.parent)
    weighed = CONFIG.replace("weights: tiny,", "weights: tiny, class_weights: [1.0, 2.0],")
    Path("pairs.yaml").write_text(weighed)
    assert main(["fit", "--config=pairs.yaml", "--out=run"]) == 2
    assert "error: class_weights is given" in capsys.readouterr().err
