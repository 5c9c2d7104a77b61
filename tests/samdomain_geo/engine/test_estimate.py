from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samdomain_geo.classes.probability import ProbabilityWork, probability_layer
from samdomain_geo.engine.estimate import estimate
from samdomain_geo.engine.mosaic import write_mosaic
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.stretch import Stretch


@pytest.fixture
def half(write_scene: Any) -> Path:
    """A scene of six blocks, of which the left half of the pixels has data."""
    values = np.random.default_rng(0).integers(1, 255, (1, 1024, 1536), dtype=np.uint8)
    values[:, :, 768:] = 0
    return write_scene(values, "half.tif", nodata=0, tiled=True)


def test_chips_and_bytes_are_scaled_up(half: Path, plan: Any, box_mean: Any) -> None:
    """A block with data stands for the scene: chips are counted, results are tried."""
    network = box_mean(1)
    work = ProbabilityWork(
        lambda: network, (1,), Stretch((0.0,), (255.0,)), (0.0,), Chips(256, 64, 8)
    )

    def finish(store: Any, folder: Path) -> None:
        write_mosaic(store, probability_layer(["bright"]), folder / "probability.tif", {})

    told = estimate(plan(half, Tiling(512)), work, 1, finish)
    assert told["blocks"] == 6
    assert told["share with data"] == pytest.approx(0.5, abs=0.05)
    # A chip each 192 pixels; those of each block are seen 3 to 4 times each way.
    assert 6 * 9 / 2 <= told["chips"] <= 6 * 16 / 2
    data = 1024 * 768
    assert told["bytes of blocks"] == pytest.approx(data * 0.8, rel=0.25)
    assert told["bytes of results"] == pytest.approx(data * 0.8 * 4 / 3, rel=0.35)
    assert told["bytes of memory"] > 0
    assert told["seconds"] >= 0


def test_a_scene_of_nothing_costs_nothing(write_scene: Any, plan: Any, box_mean: Any) -> None:
    """Without data there is no chip, and no division by it."""
    empty = write_scene(np.zeros((1, 600, 600), np.uint8), "empty.tif", nodata=0)
    chips = Chips(256, 64, 8)
    work = ProbabilityWork(lambda: box_mean(1), (1,), Stretch((0.0,), (255.0,)), (0.0,), chips)
    told = estimate(plan(empty, Tiling(512)), work)
    assert (told["chips"], told["share with data"]) == (0, 0)
    assert "bytes of results" not in told
