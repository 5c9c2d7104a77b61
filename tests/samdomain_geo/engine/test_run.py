from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samdomain.errors import InputError, StoppedError
from samdomain_geo.engine.block_store import BlockStore, claim_store
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.plan import Block, Manifest, Tiling
from samdomain_geo.engine.run import Part, run


@dataclass
class Numbers:
    """Work that writes each block's number, and fails where it is told to."""

    failures: dict[int, BaseException] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    threads: int = 0

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["Numbers"]:
        self.threads = torch.get_num_threads()
        yield self

    def read(self, block: Block) -> int:
        return block.index

    def compute(self, block: Block, source: int) -> dict[str, np.ndarray]:
        if source in self.failures:
            raise self.failures[source]
        self.done.append(source)
        return {"number": np.array([source])}


@pytest.fixture
def store(write_scene: Any, tmp_path: Path, plan: Any) -> BlockStore:
    """Twelve blocks, none done."""
    path = write_scene(np.zeros((1, 1600, 1100), np.uint8))
    return claim_store(tmp_path / "run", plan(path, Tiling(512)), resume=False)


def test_every_block_is_done_once(store: BlockStore) -> None:
    """All blocks are done; a second run finds nothing to do."""
    work = Numbers()
    spent = run(store, work, InProcess())
    assert spent["blocks"] == len(store.manifest) == 12
    assert {"read", "compute", "write"} < set(spent)
    assert sorted(work.done) == list(range(12))
    assert [int(store.read(index)["number"][0]) for index in range(12)] == list(range(12))
    assert run(store, work, InProcess()) == {"blocks": 0}


def test_blocks_tile_the_scene(store: BlockStore) -> None:
    """Windows cover each pixel once, also at the lower and the right edge."""
    seen = np.zeros((1600, 1100), np.uint8)
    for block in store.manifest.blocks():
        seen[block.window.toslices()] += 1
    assert (seen == 1).all()


def test_the_network_has_the_manifests_threads(store: BlockStore) -> None:
    """Threads are the manifest's while blocks are done, and as they were after."""
    before = torch.get_num_threads()
    work = Numbers()
    run(store, work, InProcess(), Part(1, 12))
    assert work.threads == store.manifest.threads == 1
    assert torch.get_num_threads() == before


def test_an_interruption_keeps_what_is_done(store: BlockStore) -> None:
    """Ctrl-C ends with exit 3 and one line; the next run does the rest only."""
    with pytest.raises(StoppedError, match=r"interrupted with \d+ of 12 blocks done.*--resume"):
        run(store, Numbers({5: KeyboardInterrupt()}), InProcess())
    missing = store.missing()
    assert 5 in missing
    work = Numbers()
    run(store, work, InProcess())
    assert sorted(work.done) == missing


def test_an_error_comes_out_as_it_was(store: BlockStore) -> None:
    """What a block's work raises is what the run raises."""
    with pytest.raises(InputError, match="damaged"):
        run(store, Numbers({3: InputError("damaged")}), InProcess())


def test_a_torn_block_is_done_again(store: BlockStore) -> None:
    """A block that a power cut tore is computed anew, and no other."""
    run(store, Numbers(), InProcess())
    path = store.folder / "0000007.block"
    path.write_bytes(path.read_bytes()[:-5])
    work = Numbers()
    run(store, work, InProcess())
    assert work.done == [7]


def test_two_runs_in_one_folder_do_no_harm(store: BlockStore) -> None:
    """Two at once make the blocks that one makes."""
    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(run, store, Numbers(), InProcess()) for _ in range(2)]:
            ended.result()
    assert store.sweep() == []
    assert [int(store.read(index)["number"][0]) for index in range(12)] == list(range(12))


def test_a_folder_that_is_gone_is_told(store: BlockStore) -> None:
    """A process whose folder another one has finished and removed stops in one line."""
    store.remove()
    with pytest.raises(StoppedError, match="another process has finished"):
        store.write(0, {})


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "1/0"])
def test_a_part_is_one_of_some(text: str) -> None:
    """Anything but I/N with I from 1 to N is refused."""
    with pytest.raises(InputError, match="for example 2/8"):
        Part.parse(text)


def test_parts_share_the_blocks() -> None:
    """Each block belongs to one part; without a part all are one's own."""
    for index in range(20):
        assert [Part.parse(f"{n}/3").owns(index) for n in (1, 2, 3)].count(True) == 1
        assert Part.parse(None).owns(index)
