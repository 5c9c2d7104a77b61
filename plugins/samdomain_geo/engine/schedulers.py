"""Choose who does the blocks of a run."""

from samdomain.errors import InputError
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.run import Scheduler


def scheduler_for(workers: int | None, address: str | None) -> Scheduler:
    """Return the scheduler that flags ask for; without either, this process.

    Args:
        workers: processes to start on this machine.
        address: address of a running Dask scheduler.

    Raises:
        InputError: both are given, or the number is below 1.
        MissingExtraError: Dask is not installed.
    """
    if workers is None and address is None:
        return InProcess()
    if workers is not None and address is not None:
        raise InputError("--workers starts workers and --scheduler has its own: give one of them")
    if workers is not None and workers < 1:
        raise InputError(f"--workers is {workers}: give 1 or more")
    from samdomain_geo.engine.cluster import Cluster  # noqa: PLC0415 - needs the extra dask

    return Cluster(workers or 1, address)
