import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from samdomain import AutomaticMasks, load_adapter
from samdomain.cli import main
from samdomain.injection import adapted_state, injections
from samdomain.recipes import WeSAM
from samdomain.training.epoch_log import read_csv

Config = Callable[..., Path]

MODEL = {
    "recipe": {"name": "wesam", "options": {"strong_views": 2, "momentum": 0.5}},
    "base": {"weights": "tiny"},
    "optimisation": {"rate": 0.001},
}


def fit(config: Path, out: Path, *words: str) -> int:
    return main(["fit", "--config", str(config), "--out", str(out), *words])


def teacher(run: Path) -> dict[str, torch.Tensor]:
    path = run / "checkpoints/stage-1/last.ckpt"
    return torch.load(path, map_location="cpu", weights_only=True)["guides"]


def test_resumed_equals_undisturbed(config: Config, tmp_path: Path) -> None:
    """Interrupted in its second epoch it goes on to the same figures, weights and teacher."""
    path = config(model=MODEL)
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert fit(path, whole) == 0
    steps = iter(range(100))
    forward = WeSAM.forward

    def stop(self: WeSAM, sam: Any, batch: Any) -> Any:
        if next(steps) >= 2:  # two batches an epoch
            raise KeyboardInterrupt
        return forward(self, sam, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WeSAM, "forward", stop)
        assert fit(path, half) == 3
    assert fit(path, half, "--resume") == 0
    assert (half / "log.csv").read_text() == (whole / "log.csv").read_text()
    assert teacher(whole)
    assert all(torch.equal(one, teacher(half)[key]) for key, one in teacher(whole).items())


def test_curves_tell_what_matters(config: Config, tmp_path: Path) -> None:
    """The table has the terms of the loss, the anchor's agreement and the teacher's masks."""
    assert fit(config(model=MODEL), tmp_path / "run") == 0
    rows = read_csv(tmp_path / "run/log.csv")
    assert len(rows) == 2
    assert {"train/anchor", "val/anchor_agrees", "val/pseudo_iou", "val/iou"} <= rows[0].keys()
    card = json.loads((tmp_path / "run/adapter/samdomain.json").read_text())
    assert json.dumps(card).count("wesam") == 1
    test = ["test", "--config", str(tmp_path / "run"), "--out", str(tmp_path / "test")]
    assert main(test) == 0


def test_a_collapse_ends_training(config: Config, tmp_path: Path, capsys: Any) -> None:
    """Where nothing agrees with the anchor any more, training ends; if at once, a line says so."""
    recipe = {"name": "wesam", "options": {"strong_views": 2, "collapse": 1.1}}
    path = config(model={**MODEL, "recipe": recipe})
    assert fit(path, tmp_path / "run") == 0
    assert len(read_csv(tmp_path / "run/log.csv")) == 1
    assert (tmp_path / "run/adapter/adapter_model.safetensors").exists()
    assert "training ends and no sound one is there" in capsys.readouterr().err


def test_training_on_the_truth_does_not_collapse(
    config: Config, tmp_path: Path, capsys: Any
) -> None:
    """Where true masks are learned, leaving the anchor is no alarm: all epochs are trained."""
    options = {"strong_views": 2, "collapse": 1.1, "supervised": True}
    path = config(model={**MODEL, "recipe": {"name": "wesam", "options": options}})
    assert fit(path, tmp_path / "run") == 0
    assert len(read_csv(tmp_path / "run/log.csv")) == 2
    assert "nonsense" not in capsys.readouterr().err


def test_after_a_collapse_the_best_epoch_is_kept(
    config: Config, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch before it, whose agreement was higher, is what the adapter holds."""
    measure = WeSAM.measure
    epochs = iter([1.0, 1.0, 0.2, 0.2])  # two images of validation an epoch, of two epochs

    def falling(self: WeSAM, sam: Any, batch: Any) -> Any:
        share = next(epochs, 1.0)
        return {name: one * share for name, one in measure(self, sam, batch).items()}

    monkeypatch.setattr(WeSAM, "measure", falling)
    trainer = {"max_epochs": 4, "enable_progress_bar": False, "accelerator": "cpu"}
    assert fit(config(model=MODEL, trainer=trainer), tmp_path / "run") == 0
    assert len(read_csv(tmp_path / "run/log.csv")) == 2
    assert "the best epoch so far is kept" in capsys.readouterr().err
    kept = torch.load(tmp_path / "run/checkpoints/stage-1/best.ckpt", weights_only=True)
    assert kept["epoch"] == 0


def test_a_persons_clicks_are_enough(config: Config, squares: Path, tmp_path: Path) -> None:
    """Images and a table of clicks train a model; there is no mask to measure it by."""
    with (squares / "prompts.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "object_id", "x", "y", "label"])
        for number in range(6):
            table.writerow([number, "a", 12, 12, 1])
            table.writerow([number, "a", 1, 1, 0])
            table.writerow([number, "b", 3, 3, 1])
    source = {
        "class_path": "samdomain.training.prompted.Prompted",
        "init_args": {
            "source": {
                "class_path": "samdomain.training.prompted.Unlabelled",
                "init_args": {"images": "train/images"},
            }
        },
    }
    data = {"folder": str(squares), "batch_size": 2, "views": 8, "source": source}
    assert fit(config(model=MODEL, data=data), tmp_path / "run") == 0
    row = read_csv(tmp_path / "run/log.csv")[-1]
    assert "val/agreement" in row
    assert "val/iou" not in row


def test_it_goes_on_from_an_adapter(config: Config, trained: Path, tmp_path: Path) -> None:
    """What the adapter learned of the decoder stays and is written too; the rest trains on."""
    start = trained / "adapter"
    model = {**MODEL, "base": {"weights": "tiny", "adapter": str(start)}}
    assert fit(config(model=model), tmp_path / "run") == 0
    before, after = (load_adapter(one).sam for one in (start, tmp_path / "run/adapter"))
    assert [one.injection for one in injections(after)] == [
        one.injection for one in injections(before)
    ]
    learned = adapted_state(before)
    assert learned.keys() == adapted_state(after).keys()
    changed = {
        key for key, one in adapted_state(after).items() if not torch.equal(one, learned[key])
    }
    assert changed
    assert all(key.startswith("image_encoder") for key in changed)
    assert main(["test", "--config", str(tmp_path / "run"), "--out", str(tmp_path / "test")]) == 0


UNLABELLED = {
    "class_path": "samdomain.training.prompted.Unlabelled",
    "init_args": {"images": "train/images"},
}


def without_prompts(config: Config, squares: Path) -> Path:
    """A config of images that nobody drew or clicked anything in."""
    options = {"strong_views": 2, "asking": {"kind": "none", "most": 2}}
    data = {"folder": str(squares), "batch_size": 2, "views": 1, "source": UNLABELLED}
    return config(model={**MODEL, "recipe": {"name": "wesam", "options": options}}, data=data)


def search(patch: pytest.MonkeyPatch, finder: AutomaticMasks) -> None:
    """Let recipes search as a finder does."""
    within = AutomaticMasks.within
    patch.setattr(AutomaticMasks, "within", lambda _, *given: within(finder, *given))


def test_images_alone_are_enough(
    config: Config, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the source finds trains a model and chooses its epoch."""
    # Random weights are never sure.
    search(monkeypatch, AutomaticMasks(per_side=2, least_iou=-9.0, least_stability=0.0, most=2))
    assert fit(without_prompts(config, squares), tmp_path / "run") == 0
    assert "val/agreement" in read_csv(tmp_path / "run/log.csv")[-1]


def test_nothing_to_choose_by_is_told(
    config: Config, squares: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the source finds nothing in validation, a line says so; it is no bug."""
    search(monkeypatch, AutomaticMasks(per_side=2, least_iou=9.0))
    assert fit(without_prompts(config, squares), tmp_path / "run") == 2
    assert "validation has nothing to measure 'agreement' by" in capsys.readouterr().err
