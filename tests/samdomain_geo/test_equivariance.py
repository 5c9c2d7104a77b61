"""Neither blocks, halos, chips, batches nor the order change a result."""

import importlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samdomain_geo.engine.block_store import claim_store
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.engine.run import Part, run
from samdomain_geo.scenes.chips import Chips

RADIUS = 4
LARGEST = 44  # pixels across the largest object
CASES = range(5)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of toy work, by the name that workers know it by."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("toy_work")


@pytest.fixture
def discs(write_scene: Any) -> Path:
    """Bright noisy discs on dark noise, apart from one another, some over block edges."""
    rng = np.random.default_rng(2)
    values = rng.integers(1, 90, (1100, 1300)).astype(np.uint8)
    rows, columns = np.mgrid[:1100, :1300]
    taken = np.zeros(values.shape, dtype=bool)
    centres = [(512, 512), (1024, 512), (512, 200), (300, 1024), (511, 1023)]
    centres += [tuple(one) for one in rng.integers(0, (1100, 1300), (80, 2))]
    for row, column in centres:
        away = (rows - row) ** 2 + (columns - column) ** 2
        near = away < rng.integers(8, LARGEST // 2) ** 2
        if not taken[away < 35**2].any():
            values[near] = rng.integers(190, 256, int(near.sum()))
            taken |= near
    values[900:, 1150:] = 0
    return write_scene(values[None], "discs.tif", nodata=0)


def draw(case: int) -> tuple[Chips, Tiling, Part, int]:
    """Draw settings: chips with a margin that the toy fits in, a halo that objects fit in."""
    chance = random.Random(case)
    size = chance.randint(100, 700)
    overlap = chance.randint(2 * RADIUS + 1, size // 2)
    chips = Chips(size, overlap, chance.randint(RADIUS, (overlap - 1) // 2), chance.randint(1, 5))
    block = chance.choice([512, 1024, 1536])
    tiling = Tiling(block, chance.randint(LARGEST + RADIUS, block // 2))
    return chips, tiling, Part(1, chance.randint(1, 3)), chance.randint(0, 99)


def whole(toy: Any, kind: str, manifest: Any, folder: Path) -> dict[str, np.ndarray]:
    """Do the scene as one block in one chip."""
    store = claim_store(folder, manifest, resume=False)
    run(store, toy.works(Chips(4096, 64, 0))[kind], InProcess())
    return toy.results(store, kind)


@pytest.mark.parametrize("kind", ["probability", "instances"])
def test_tiled_equals_whole(toy: Any, discs: Path, plan: Any, tmp_path: Path, kind: str) -> None:
    """Blocks, halo, chips, batch, jobs and order are drawn at random: each pixel is the same."""
    expected = whole(toy, kind, plan(discs, Tiling(2048)), tmp_path / "whole")
    for case in CASES:
        chips, tiling, job, seed = draw(case)
        store = claim_store(tmp_path / f"{case}", plan(discs, tiling), resume=False)
        for number in reversed(range(1, job.of + 1)):
            run(store, toy.works(chips)[kind], toy.Shuffled(seed), Part(number, job.of))
        found = toy.results(store, kind)
        for name, values in expected.items():
            assert (found[name] == values).all(), (case, name, chips, tiling)


def test_the_scene_is_worth_the_test(toy: Any, discs: Path, plan: Any, tmp_path: Path) -> None:
    """There are many instances, and a chip without a margin would show."""
    ids = whole(toy, "instances", plan(discs, Tiling(2048)), tmp_path / "whole")["i"]
    assert ids.max() > 30
    good = whole(toy, "probability", plan(discs, Tiling(2048)), tmp_path / "good")["p"]
    store = claim_store(tmp_path / "bad", plan(discs, Tiling(512)), resume=False)
    run(store, toy.works(Chips(256, 64, 0))["probability"], InProcess())
    assert (toy.results(store, "probability")["p"] != good).any()
