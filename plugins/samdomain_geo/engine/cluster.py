"""Do the blocks of a run on Dask workers: new ones on this machine, or those of a scheduler."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import uuid4

from samdomain.errors import InputError, MissingExtraError, StoppedError
from samdomain_geo.engine.block_store import BlockStore, open_store
from samdomain_geo.engine.station import IN_FLIGHT, Station, Work, open_station

try:
    from distributed import Client, KilledWorker, LocalCluster, Worker, as_completed, get_worker
    from distributed.diagnostics.plugin import WorkerPlugin
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        f"--workers and --scheduler need {missing.name}: pip install 'samdomain[dask]'"
    ) from missing


logger = logging.getLogger(__name__)

# Seconds that a scheduler has to answer; Dask's own 30 are long to wait for a typing error.
_PATIENCE = 5


class _StationPlugin(WorkerPlugin):
    """Set up a station in each worker, once: a model is never pickled into tasks."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.name = f"samdomain-{uuid4().hex}"
        self._work, self._folder = work, folder

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - as Dask calls it
        """Open the scene and load the model; also in a worker that takes a lost one's place."""
        self._open = ExitStack()
        store = open_store(self._folder)
        self.station: Station = self._open.enter_context(open_station(self._work, store))

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - as Dask calls it
        """Close the scene."""
        self._open.close()


@dataclass(frozen=True)
class Cluster:
    """Scheduler on Dask.

    Attributes:
        workers: processes to start on this machine where no address is given.
        address: address of a running Dask scheduler, whose workers see the same files.
    """

    workers: int = 1
    address: str | None = None

    def run(
        self, work: Work, store: BlockStore, indices: Sequence[int]
    ) -> Iterator[dict[str, float]]:
        """Do blocks as workers are free; see `Scheduler.run`. A lost worker's blocks move on.

        Raises:
            InputError: no scheduler answers at the address.
            StoppedError: the same block lost several workers, or the scheduler is lost.
        """
        plugin = _StationPlugin(work, store.folder.absolute())
        with self._client() as client:
            client.register_plugin(plugin)
            try:
                steps = client.map(_do, indices, station=plugin.name, pure=False, retries=0)
                for _, lap in as_completed(steps, with_results=True):
                    if isinstance(lap, CancelledError):  # given in place of a result, not raised
                        raise lap
                    yield lap
            except KilledWorker as error:
                raise StoppedError(
                    "a block lost several workers, likely for want of memory; finished blocks are "
                    "kept: run again with --resume, on fewer or larger workers"
                ) from error
            except CancelledError as error:
                raise StoppedError(
                    "the Dask scheduler is gone; finished blocks are kept: run again with --resume"
                ) from error
            finally:
                with suppress(OSError):  # where it is gone there is nothing to take back
                    client.unregister_worker_plugin(plugin.name)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        if self.address is None:
            with (
                LocalCluster(
                    n_workers=self.workers,
                    threads_per_worker=IN_FLIGHT,
                    dashboard_address=None,
                    silence_logs=logging.ERROR,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(self.address, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {self.address}: give --scheduler the address that "
                "dask scheduler prints, as tcp://host:8786"
            ) from error
        with _quiet(), client:
            if not client.scheduler_info()["workers"]:
                logger.warning("the scheduler at %s has no workers yet: waiting", self.address)
            yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask, and the loop that it runs in, from telling that the scheduler is lost: we do."""
    speakers = [logging.getLogger(name) for name in ("distributed.client", "tornado.application")]
    before = [speaker.level for speaker in speakers]
    for speaker in speakers:
        speaker.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for speaker, level in zip(speakers, before, strict=True):
            speaker.setLevel(level)


def _do(index: int, station: str) -> dict[str, float]:
    plugin = cast(_StationPlugin, get_worker().plugins[station])
    return plugin.station(index)
