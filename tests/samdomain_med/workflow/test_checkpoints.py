from pathlib import Path

import pytest
import torch
from torch import nn

monai = pytest.importorskip("monai")

from ignite.engine import Engine  # noqa: E402 - after the skip

from samdomain.adapter_file import DataSource, read_adapter  # noqa: E402
from samdomain.errors import InputError  # noqa: E402
from samdomain.testing import move_trained  # noqa: E402
from samdomain_med import SamSegmenter  # noqa: E402
from samdomain_med.workflow.checkpoints import (  # noqa: E402
    BestNetwork,
    last_checkpoint,
    write_adapter,
)


def measured(best: BestNetwork, *dices: float) -> None:
    """Let an evaluator measure these, one an epoch."""
    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name = "dice"
    for dice in dices:
        engine.state.metrics = {"dice": dice}
        best.metrics_completed(engine)


def test_the_best_network_stays_after_resumption(tmp_path: Path) -> None:
    """A worse one after it does not take its place; a better one does."""
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1)
    first = BestNetwork(str(tmp_path), network)
    measured(first, 0.8)
    network.weight.data.fill_(2)
    again = BestNetwork(str(tmp_path), network)
    again.load_state_dict(first.state_dict())
    measured(again, 0.7)
    kept = torch.load(tmp_path / "model.pt", weights_only=True)
    assert kept == {"weight": torch.tensor([[1.0]])}
    measured(again, 0.9)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"] == 2


def test_the_best_network_becomes_an_adapter(tmp_path: Path) -> None:
    """With its weights, not the last ones, and what the config says of it."""
    network = move_trained(SamSegmenter(weights="tiny"))
    kept = BestNetwork(str(tmp_path), network)
    measured(kept, 0.81234)
    wanted = {name: one.clone() for name, one in network.state_dict().items()}
    move_trained(network, seed=1)
    data = [{"name": "scans", "licence": "CC0-1.0"}]
    write_adapter(kept, network, {"summary": "Finds it.", "modality": "MR", "data": data})
    card = read_adapter(tmp_path / "adapter").card
    assert (card.summary, card.modality, card.recipe) == ("Finds it.", "MR", "sam_sp")
    assert card.data == (DataSource("scans", "CC0-1.0"),)
    assert card.metrics == {"val/dice": 0.8123}
    loaded = SamSegmenter(weights="tiny", adapter=str(tmp_path / "adapter")).state_dict()
    for name, one in wanted.items():
        torch.testing.assert_close(loaded[name], one)


def test_a_training_without_validation_leaves_no_adapter(tmp_path: Path) -> None:
    """There is no best network."""
    network = SamSegmenter(weights="tiny")
    kept = BestNetwork(str(tmp_path), network)
    assert kept.score is None
    write_adapter(kept, network, {})
    assert not (tmp_path / "adapter").exists()


def test_the_last_checkpoint_is_of_the_highest_epoch(tmp_path: Path) -> None:
    """Epoch 10 is after epoch 9, whatever the names' order."""
    for name in ("checkpoint_epoch=9.pt", "checkpoint_epoch=10.pt", "model.pt"):
        (tmp_path / name).touch()
    assert Path(last_checkpoint(str(tmp_path))).name == "checkpoint_epoch=10.pt"


def test_nothing_to_resume_is_told(tmp_path: Path) -> None:
    """A training that never ended an epoch begins anew."""
    with pytest.raises(InputError, match="train from the beginning"):
        last_checkpoint(str(tmp_path))
