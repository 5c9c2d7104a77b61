"""Tell what a run will cost, from one of its blocks."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from samdomain_geo.block_store import BlockStore
from samdomain_geo.plan import Manifest
from samdomain_geo.raster import open_scene
from samdomain_geo.station import IN_FLIGHT, Work, open_station

# The share of the scene with data is looked up in a picture of this size.
_THUMBNAIL = 512


def estimate(manifest: Manifest, work: Work, workers: int = 1) -> dict[str, Any]:
    """Do the middle block of a run, keep nothing of it, and scale up.

    Args:
        manifest: the run.
        work: what is done for each block.
        workers: processes that share the blocks.

    Returns:
        dict: blocks, the share of the scene with data, bytes that the blocks will take on disk,
        bytes of memory (the peak of this process, for each worker), seconds.
    """
    with open_scene(manifest.scene.path) as scene:
        _, valid = scene.thumbnail(_THUMBNAIL)
    rows, columns = manifest.shape
    middle = rows // 2 * columns + columns // 2
    with TemporaryDirectory() as folder:
        store = BlockStore(Path(folder), manifest)
        with open_station(work, store) as station:
            seconds = station(middle)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    pixels = manifest.block(middle).window
    blocks = manifest.grid.rows * manifest.grid.columns / (pixels.width * pixels.height)
    scale = blocks * float(valid.mean())
    # Steps of different blocks overlap: the longest decides.
    longest = max(seconds.values()) if workers == 1 else sum(seconds.values())
    return {
        "blocks": len(manifest),
        "blocks in flight": IN_FLIGHT * workers,
        "share with data": round(float(valid.mean()), 3),
        "bytes of blocks": round(size * scale),
        "bytes of memory": _peak() * workers,
        "seconds": round(longest * scale / workers, 1),
    }


def _peak() -> int:
    """Return the most memory that the process ever had, in bytes; 0 where it cannot be told."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ModuleNotFoundError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
