"""Do the blocks of a run in one process: read ahead, compute, write, all at the same time."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import BoundedSemaphore
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import torch

from samdomain_geo.engine.block_store import Arrays, BlockStore
from samdomain_geo.engine.plan import Block, Manifest
from samdomain_geo.scenes.block_cache import block_cache

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
    """A process's place of work: a worker, and where its blocks go.

    One thread reads and one computes, always the same: what the libraries keep for each thread
    that calls them is there once.
    """

    def __init__(self, worker: Worker, store: BlockStore, pools: ExitStack) -> None:
        self._worker, self._store = worker, store
        self._seats = BoundedSemaphore(IN_FLIGHT)
        threads = store.manifest.threads
        self._reader = pools.enter_context(ThreadPoolExecutor(1, "read"))
        self._computer = pools.enter_context(
            ThreadPoolExecutor(1, "compute", torch.set_num_threads, (threads,))
        )

    def __call__(self, index: int) -> dict[str, float]:
        """Do one block, unless it is there, and return the seconds of each step.

        Several threads may call at once: their steps overlap, and memory stays bounded.
        """
        block = self._store.manifest.block(index)
        with self._seats:
            if self._store.has(index):  # by another process in the same folder
                return {}
            source, read = self._reader.submit(_timed, self._worker.read, block).result()
            arrays, compute = {}, 0.0
            if source is not None:
                work = self._computer.submit(_timed, self._worker.compute, block, source)
                arrays, compute = work.result()
            _, write = _timed(self._store.write, index, arrays)
            return {"read": read, "compute": compute, "write": write}


def _timed(call: Callable[..., Any], *inputs: Any) -> tuple[Any, float]:
    """Return what a call returns, and its seconds."""
    start = perf_counter()
    result = call(*inputs)
    return result, perf_counter() - start


@contextmanager
def open_station(work: Work, store: BlockStore) -> Iterator[Station]:
    """Make this process ready for the blocks of a run.

    The network runs with the manifest's number of threads meanwhile, since sums depend on it.
    """
    with (
        network_threads(store.manifest.threads),
        block_cache(),
        work.open(store.manifest) as worker,
        ExitStack() as pools,
    ):
        yield Station(worker, store, pools)


@contextmanager
def network_threads(count: int) -> Iterator[None]:
    """Run networks with a number of threads, since their sums depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
