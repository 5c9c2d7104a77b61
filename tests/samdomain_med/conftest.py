"""Data and adapters that tests of medical images share."""

from pathlib import Path

import pytest

from samdomain import save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.recipes import preset
from samdomain.testing import move_trained
from samdomain.weights import load_sam


@pytest.fixture(scope="session")
def polyp_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of sam_sp that some training might have left, with a temperature."""
    recipe, sam = preset("sam_sp"), load_sam("tiny")
    recipe.adapt(sam)
    card = AdapterCard(
        summary="Finds nothing.",
        recipe="sam_sp",
        output="semantic",
        options=recipe.to_json(),
        temperature=2.0,
        metrics={"val/dice": 0.25},
    )
    folder = tmp_path_factory.mktemp("adapters") / "polyp"
    save_adapter(move_trained(sam, seed=3), folder, card)
    return folder
