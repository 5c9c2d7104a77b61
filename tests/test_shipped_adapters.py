from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samdomain.adapter_file import read_adapter
from samdomain.door import domain, domains
from samdomain.errors import MissingExtraError
from samdomain.weights import REGISTRY

_MOST_BYTES = 3_000_000


def _folders() -> list[Path]:
    plugins = Path(__file__).parents[1] / "plugins"
    return sorted(path.parent for path in plugins.glob("*/adapters/*/samdomain.json"))


@pytest.fixture(params=_folders(), ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_it_is_small_and_half_precise(folder: Path) -> None:
    """A wheel carries it: 3 MB at most, in fp16."""
    assert sum(path.stat().st_size for path in folder.iterdir()) <= _MOST_BYTES
    for path in folder.glob("*.safetensors"):
        floating = {one.dtype for one in load_file(path).values() if one.is_floating_point()}
        assert floating == {torch.float16}


def test_its_card_says_what_users_need(folder: Path) -> None:
    """What it is for, its terms, its data with their licences, and figures of a test."""
    adapter = read_adapter(folder)
    card = adapter.card
    assert card.summary
    assert card.recipe
    assert card.data
    assert all(one.name and one.licence for one in card.data)
    assert any(" test " in name for name in card.metrics)
    if folder.parts[-3] == "samdomain_med":
        assert card.modality
        assert "Research only" in card.intended_use


def test_its_base_is_of_the_registry(folder: Path) -> None:
    """The digest of its base is that of weights that the package installs."""
    base = read_adapter(folder).base
    assert REGISTRY[base.name].sha256 == base.sha256


def test_a_config_of_its_name_trains_it(folder: Path) -> None:
    """What ships can be trained again."""
    found = []
    for name in domains():
        try:
            found += [path.stem for path in domain(name).configs().glob("*.yaml")]
        except MissingExtraError:
            continue
    if not found:
        pytest.skip("no domain is installed")
    assert folder.name in found
