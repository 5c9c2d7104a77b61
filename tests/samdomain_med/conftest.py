"""Data, adapters and bundles that tests of medical images share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samdomain import save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.recipes import Recipe, SAMed, preset
from samdomain.testing import move_trained
from samdomain.weights import load_sam


@pytest.fixture(scope="session")
def polyp_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of sam_sp that some training might have left, with a temperature."""
    return adapter(tmp_path_factory.mktemp("adapters") / "polyp", preset("sam_sp"))


@pytest.fixture(scope="session")
def hippocampus_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of samed with three classes that some training might have left."""
    recipe = SAMed(("background", "anterior", "posterior"))
    return adapter(tmp_path_factory.mktemp("adapters") / "hippocampus", recipe)


def adapter(folder: Path, recipe: Recipe) -> Path:
    sam = load_sam("tiny")
    for stage in recipe.stages:
        stage.adapt(sam)
    card = AdapterCard(
        summary="Finds nothing.",
        recipe=recipe.name,
        output="semantic",
        options=recipe.to_json(),
        temperature=2.0,
        metrics={"val/dice": 0.25},
    )
    save_adapter(move_trained(sam, seed=3), folder, card)
    return folder


@pytest.fixture
def run_bundle(tmp_path: Path) -> Callable:
    """Run configs of a bundle as `python -m monai.bundle run` does, results in tmp_path."""
    from ignite.engine import Events  # noqa: PLC0415 - tests that need it skip without
    from monai.bundle import ConfigWorkflow  # noqa: PLC0415

    def run(
        bundle: Path, *names: str, kind: str = "train", stopped: bool = False, **words: Any
    ) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            [str(bundle / "configs" / f"{name}.json") for name in names],
            logging_file=False,
            workflow_type=kind,
            bundle_root=str(bundle),
            output_dir=str(tmp_path / "eval"),
            **words,
        )
        workflow.initialize()
        assert workflow.check_properties() == []
        if stopped:
            workflow.trainer.add_event_handler(Events.EPOCH_COMPLETED, workflow.trainer.terminate)
        workflow.run()
        workflow.finalize()
        return workflow

    return run
