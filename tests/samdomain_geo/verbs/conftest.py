"""Adapters of change for the tests of verbs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samdomain.adapter_file import AdapterCard, save_adapter
from samdomain.recipes import preset
from samdomain.sam import Sam
from samdomain_geo.changes import networks


class BrightChange(torch.nn.Module):
    """Call it a change where the dates differ in brightness."""

    sam = None

    def probability(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        return ((before - after).abs().mean(dim=1, keepdim=True) / 128).clamp(0, 1)

    def accelerated(self, precision: str) -> "BrightChange":
        return self


@pytest.fixture
def sam_cd(trained: Callable[..., Sam], tmp_path: Path) -> Path:
    """An adapter of SAM-CD on the tiny SAM, with noise for values."""
    recipe, sam = preset("sam_cd"), trained()
    recipe.adapt(sam)
    card = AdapterCard(
        recipe="sam_cd", output="change", options=recipe.to_json(), chip_size=64, temperature=2.0
    )
    save_adapter(sam, tmp_path / "change", card)
    return tmp_path / "change"


@pytest.fixture
def change_adapter(sam_cd: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with a network in its place of which it is known what it says."""
    monkeypatch.setattr(networks, "load_change", lambda *_: (BrightChange(), None))
    return sam_cd
