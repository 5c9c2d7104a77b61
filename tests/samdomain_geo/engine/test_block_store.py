import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samdomain.errors import InputError, StoppedError
from samdomain_geo.engine.block_store import BlockStore, claim_store, open_store
from samdomain_geo.engine.plan import Manifest, Tiling

ARRAYS = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": np.zeros(0, np.uint8)}


@pytest.fixture
def manifest(scene: Path, plan: Any) -> Manifest:
    return plan(scene, Tiling(512), simplify=1.0, stretch={"low": (1.0, 2.0)})


@pytest.fixture
def store(manifest: Manifest, tmp_path: Path) -> BlockStore:
    return claim_store(tmp_path / "blocks", manifest, resume=False)


def test_blocks_come_back(store: BlockStore) -> None:
    """Arrays and the manifest are read as they were written; equal arrays are equal bytes."""
    store.write(0, ARRAYS)
    first = (store.folder / "0000000.block").read_bytes()
    store.write(0, ARRAYS)
    assert (store.folder / "0000000.block").read_bytes() == first
    read = open_store(store.folder).read(0)
    assert all((read[name] == ARRAYS[name]).all() for name in ARRAYS)
    assert store.missing() == []
    store.write(0, {})
    assert store.read(0) == {}


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_torn_block_is_found_and_removed(store: BlockStore, damage: str) -> None:
    """Whatever happened to the file, it is told from a whole one, and computed again."""
    store.write(0, ARRAYS)
    path = store.folder / "0000000.block"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(
        {"cut": content[:-9], "flipped": content, "empty": b"", "foreign": b"hello"}[damage]
    )
    assert store.missing() == []
    assert store.sweep() == [0]
    assert not path.exists()
    with pytest.raises(StoppedError, match="missing"):
        store.read(0)


def test_nothing_half_written_has_a_name(
    store: BlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk ends in one clear error, and leaves neither the block nor a part of it."""

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoppedError, match="full"):
        store.write(0, ARRAYS)
    assert sorted(p.name for p in store.folder.iterdir()) == ["manifest.json"]


def test_a_changed_run_is_refused_by_name(store: BlockStore, scene: Path, plan: Any) -> None:
    """What would change blocks is named with both values; the date would not."""
    same = plan(scene, Tiling(512), simplify=1.0, stretch={"low": (1.0, 2.0)})
    assert claim_store(store.folder, same, resume=True).manifest == store.manifest
    other = plan(scene, Tiling(1024), simplify=2.0, stretch={"low": (1.0, 2.0)})
    with pytest.raises(InputError, match=r"parameters.simplify was 1.0 and is 2.0.*tiling.block"):
        claim_store(store.folder, other, resume=True)
    with pytest.raises(InputError, match="--resume"):
        claim_store(store.folder, same, resume=False)


def test_one_process_at_a_time_finishes(store: BlockStore) -> None:
    """A second process is turned away while the first is at it, and not after."""
    with store.alone(), pytest.raises(InputError, match="another process"), store.alone():
        pass
    with store.alone():
        pass


def test_a_removed_folder_can_be_claimed(store: BlockStore, manifest: Manifest) -> None:
    """Removing takes everything, and also what a killed removal left behind."""
    (store.folder.parent / ".blocks.ended").mkdir()
    store.write(0, ARRAYS)
    store.remove()
    assert not store.folder.exists()
    assert claim_store(store.folder, manifest, resume=True).missing() == [0]


def test_work_of_another_form_is_refused(store: BlockStore) -> None:
    """A manifest of another schema is not guessed at."""
    path = store.folder / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 9'))
    with pytest.raises(InputError, match="form 9"):
        open_store(store.folder)


def test_tilings_are_checked() -> None:
    """Blocks follow the COG's grid, and a halo is no larger than a block."""
    for block, halo in ((500, 0), (0, 0), (512, -1), (512, 513)):
        with pytest.raises(InputError):
            Tiling(block, halo)
