"""Do the blocks of a run in this process."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.station import IN_FLIGHT, Work, open_station


class InProcess:
    """Scheduler without other processes; reading, computing and writing overlap."""

    def run(
        self, work: Work, store: BlockStore, indices: Sequence[int]
    ) -> Iterator[dict[str, float]]:
        """Do blocks in their order; see `Scheduler.run`."""
        pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="block")
        waiting: deque[Future[dict[str, float]]] = deque()
        with open_station(work, store) as station:
            try:
                for index in indices:
                    waiting.append(pool.submit(station, index))
                    if len(waiting) > IN_FLIGHT:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                # What has begun ends: a block is written whole or not at all.
                pool.shutdown(cancel_futures=True)
