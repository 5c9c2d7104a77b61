"""Measure how much memory `samdomain segment` needs on a large scene.

    python benchmarks/memory.py [CELL ...]       as side-30000; all that are missing by default

Scenes of 8-bit RGB in compressed tiles, 5,000 and 30,000 pixels a side, hold the same 200 bright
rectangles on a dark slope, of which rough boxes are the prompts. The command runs with default
weights and flags in a process of its own; the peak is the most resident memory that its process
tree ever has, what they share counted once, looked at every 20 ms. A first run, which is not
measured, converts the encoder. Each cell is a file in benchmarks/results/memory, written as it
ends; a cell that is there is not run again. Linux only.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from grid import run_grid
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain import accelerate, load_sam

SIDES = (5_000, 30_000)
OBJECTS = 200
STRIP = 1024  # rows that are made at a time; whole tiles
CRS = "EPSG:32636"
PLACE = Affine.translation(500_000, 30_000) @ Affine.scale(0.1, -0.1)


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    run_grid("memory", {f"side-{side}": partial(measure, side) for side in SIDES})


def measure(side: int) -> dict[str, Any]:
    """Segment a scene in a process of its own, and watch its memory."""
    accelerate(load_sam())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = make_objects(side)
        make_scene(objects, side, folder / "scene.tif")
        write_prompts(objects, folder / "boxes.gpkg")
        files = [str(folder / "scene.tif"), "--prompts", str(folder / "boxes.gpkg")]
        start = time.perf_counter()
        command = [sys.executable, "-m", "samdomain", "segment", *files]
        peak = watch([*command, "--out", str(folder / "out"), "--quiet"])
        seconds = time.perf_counter() - start
        record = json.loads((folder / "out" / "run.json").read_text())
    return {
        "engine": record["engine"],
        "side": side,
        **record["counts"],
        "peak_mb": round(peak / 1e6),
        "seconds": round(seconds, 1),
        "stages": record["seconds"],
    }


def make_objects(side: int) -> NDArray[np.int64]:
    """Return rectangles (200, 4) as left, top, right, bottom, all over a scene."""
    rng = np.random.default_rng(0)
    size = rng.integers(30, 120, (OBJECTS, 2))
    corner = (rng.uniform(0.02, 0.95, (OBJECTS, 2)) * side).astype(int)
    return np.concatenate([corner, corner + size], axis=1)


def make_scene(objects: NDArray[np.int64], side: int, path: Path) -> None:
    """Paint the rectangles on a slope of grey, strip by strip."""
    profile = {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": 3,
        "dtype": "uint8",
        "crs": CRS,
        "transform": PLACE,
        "tiled": True,
        "interleave": "pixel",
        "compress": "DEFLATE",
        "bigtiff": "IF_SAFER",
    }
    across = np.linspace(40, 90, side).astype(np.uint8)
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, side, STRIP):
            rows = min(STRIP, side - top)
            strip = np.tile(across, (3, rows, 1))
            for left, upper, right, lower in objects - [0, top, 0, top]:
                strip[:, max(0, upper) : max(0, lower), left:right] = 210
            target.write(strip, window=Window(0, top, side, rows))


def write_prompts(objects: NDArray[np.int64], path: Path) -> None:
    """Write boxes that miss the rectangles by some pixels."""
    rough = objects + np.random.default_rng(1).integers(-4, 5, objects.shape)
    x, y = PLACE @ (rough[:, 0::2].astype(float), rough[:, 1::2].astype(float))
    boxes = shapely.box(x[:, 0], y[:, 1], x[:, 1], y[:, 0])
    gpd.GeoDataFrame(geometry=boxes, crs=CRS).to_file(path)


def watch(command: list[str]) -> int:
    """Run a command and return the peak of its tree's resident memory in bytes.

    Raises:
        RuntimeError: it fails.
    """
    peak = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, together(tree(process.pid)))
            time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}")
    return peak


def together(pids: list[int]) -> int:
    """Return the resident memory of processes in bytes, what they share counted once."""
    # To look apart takes milliseconds, in which the process waits: not for a single one.
    if len(pids) == 1:
        return told(pids[0], "status").get("VmRSS", 0)
    parts = [told(pid, "smaps_rollup") for pid in pids]
    shared = [one.get("Shared_Clean", 0) + one.get("Shared_Dirty", 0) for one in parts]
    alone = [one.get("Private_Clean", 0) + one.get("Private_Dirty", 0) for one in parts]
    return sum(alone) + max(shared)


def tree(pid: int) -> list[int]:
    """Return a process and all that it started."""
    children = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:  # the name, in brackets, may hold anything; the parent is the second field behind it
            children[int(status.read_text().rpartition(")")[2].split()[1])].append(status.parent)
        except OSError:  # it has ended
            continue
    found = [pid]
    for parent in found:
        found += [int(folder.name) for folder in children[parent]]
    return found


def told(pid: int, name: str) -> dict[str, int]:
    """Return what the system tells of a process's memory in bytes; nothing where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    except OSError:
        return {}
    sizes = [line.partition(":") for line in lines if line.endswith(" kB")]
    return {field: int(size.split()[0]) * 1024 for field, _, size in sizes}


if __name__ == "__main__":
    main()
