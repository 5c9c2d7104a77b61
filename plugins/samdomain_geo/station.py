"""Do the blocks of a run in one process: read ahead, compute, write, all at the same time."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import BoundedSemaphore, Lock
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import torch

from samdomain_geo.block_cache import block_cache
from samdomain_geo.block_store import Arrays, BlockStore
from samdomain_geo.plan import Block, Manifest

IN_FLIGHT = 3
"""Blocks that one process holds at a time: one is read, one computed, one written."""


class Worker(Protocol):
    """What does the blocks of one run in one process, with its scene open and its model loaded.

    What it makes of a block depends on nothing but the manifest and the block.
    """

    def read(self, block: Block) -> Any:
        """Read what a block needs; None where the scene has no data. One thread at a time."""
        ...

    def compute(self, block: Block, source: Any) -> Arrays:
        """Compute a block from what was read. One thread at a time, beside the reading."""
        ...


class Work(Protocol):
    """What a run does; it travels to other processes, and so holds names and paths only."""

    def open(self, manifest: Manifest) -> AbstractContextManager[Worker]:
        """Open the scene and load the model, once in each process."""
        ...


@runtime_checkable
class ChippedWork(Work, Protocol):
    """Work that sends chips through a network."""

    def count_chips(self, manifest: Manifest) -> Mapping[int, int]:
        """Return how many chips each block looks at, by its number; nothing is read.

        A scene with data everywhere is taken for granted.
        """
        ...


class Station:
    """A process's place of work: a worker, and where its blocks go."""

    def __init__(self, worker: Worker, store: BlockStore) -> None:
        self._worker, self._store = worker, store
        self._seats = BoundedSemaphore(IN_FLIGHT)
        self._reading, self._computing = Lock(), Lock()

    def __call__(self, index: int) -> dict[str, float]:
        """Do one block, unless it is there, and return the seconds of each step.

        Several threads may call at once: their steps overlap, and memory stays bounded.
        """
        block = self._store.manifest.block(index)
        with self._seats:
            if self._store.has(index):  # by another process in the same folder
                return {}
            with self._reading:
                start = perf_counter()
                source = self._worker.read(block)
                read = perf_counter() - start
            with self._computing:
                start = perf_counter()
                arrays = {} if source is None else self._worker.compute(block, source)
                compute = perf_counter() - start
            start = perf_counter()
            self._store.write(index, arrays)
            return {"read": read, "compute": compute, "write": perf_counter() - start}


@contextmanager
def open_station(work: Work, store: BlockStore) -> Iterator[Station]:
    """Make this process ready for the blocks of a run.

    The network runs with the manifest's number of threads meanwhile, since sums depend on it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(store.manifest.threads)
    try:
        with block_cache(), work.open(store.manifest) as worker:
            yield Station(worker, store)
    finally:
        torch.set_num_threads(before)
