"""Measure how the scene engine scales: memory, time, polygons, workers, and what kills leave.

    python benchmarks/scale.py [CELL ...]      as memory-32768; all that are missing by default

memory-N: a scene of N x N pixels, a quarter of it with data, through a network that costs next to
nothing, to probability.tif and mask.tif. polygons-N: N buildings with `polygonize`; reference-N
the same with rasterio.features.shapes over the whole raster and a geopandas dissolve.
workers-N: convolutions on N Dask workers of one thread each. kills: `polygonize` killed at ten
random moments and resumed. Each cell runs in a process of its own, whose peak memory is noted,
and is a file in benchmarks/results/scale; a cell that is there is not run again. Times are wall
seconds of this machine, which others may be using (`load`); `cpu_s` counts this process alone, with
the making of the data. Compare them with one another only.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.features import shapes
from toy_network import BoxMean, Convolutions

from samdomain_geo import polygonize
from samdomain_geo.block_store import BlockStore, claim_store
from samdomain_geo.chips import Chips
from samdomain_geo.cluster import Cluster
from samdomain_geo.identity import Identity
from samdomain_geo.in_process import InProcess
from samdomain_geo.mosaic import write_mosaic
from samdomain_geo.plan import Grid, Manifest, Tiling, now, software
from samdomain_geo.probability import ProbabilityWork, mask_layer, probability_layer
from samdomain_geo.raster import open_scene
from samdomain_geo.run import Scheduler, run
from samdomain_geo.stretch import Stretch

RESULTS = Path(__file__).parent / "results" / "scale"
BLOCK = 1024
KILLS = 10
CELL = 16  # pixels from one building to the next
WALL = 4  # pixels that a wing of a building is wide


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    cells: dict[str, Callable[[Path], dict[str, Any]]] = {
        **{f"memory-{side}": partial(flow, side) for side in (4096, 8192, 16384, 32768)},
        **{f"polygons-{count}": partial(polygons, count) for count in (250_000, 500_000)},
        "reference-500000": partial(reference, 500_000),
        **{f"workers-{count}": partial(workers, count) for count in (1, 2)},
        "kills": kills,
    }
    if sys.argv[1:2] == ["--inside"]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(cells[sys.argv[2]], Path(folder))))
        return
    for name in sys.argv[1:] or cells:
        path = RESULTS / f"{name}.json"
        if path.exists() and not sys.argv[1:]:
            continue
        command = [sys.executable, __file__, "--inside", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result = json.loads(done.stdout.splitlines()[-1])
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(name, path.read_text(), flush=True)


def measured(cell: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Run a cell, and add the most memory that this process had, and the load of the machine."""
    before = time.process_time()
    result = cell(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cpu = round(time.process_time() - before, 1)
    return {**result, "cpu_s": cpu, "peak_mb": peak, "load": round(os.getloadavg()[0], 1)}


def flow(side: int, folder: Path) -> dict[str, Any]:
    """Run a sparse scene through a network that costs next to nothing."""
    scene = folder / "scene.tif"
    write_sparse(scene, side)
    start = time.perf_counter()
    store, work = prepare(scene, folder, 1, BoxMean)
    steps = run(store, work, InProcess())
    ran = time.perf_counter()
    write_mosaic(store, probability_layer(["bright"]), folder / "probability.tif", {})
    write_mosaic(store, mask_layer(), folder / "mask.tif", {})
    end = time.perf_counter()
    return {
        "side": side,
        "run_s": round(ran - start, 1),
        "mosaic_s": round(end - ran, 1),
        "ns_per_pixel": round((end - start) / side**2 * 1e9, 1),
        "steps": steps,
        "blocks_mb": sum(p.stat().st_size for p in store.folder.iterdir()) >> 20,
    }


def polygons(count: int, folder: Path) -> dict[str, Any]:
    """Turn a raster of buildings into polygons."""
    write_buildings(folder / "mask.tif", count)
    start = time.perf_counter()
    result = polygonize(folder / "mask.tif", out=folder / "p.gpkg")
    return {"polygons": result.count, "seconds": round(time.perf_counter() - start, 1)}


def reference(count: int, folder: Path) -> dict[str, Any]:
    """Do the same as one would without an engine; areas are left out, in its favour."""
    write_buildings(folder / "mask.tif", count)
    start = time.perf_counter()
    with rasterio.open(folder / "mask.tif") as dataset:
        values = dataset.read(1)
        traced = list(shapes(values, values > 0, transform=dataset.transform))
        crs = dataset.crs
    outlines = [shapely.geometry.shape(one) for one, _ in traced]
    table = gpd.GeoDataFrame({"id": range(len(traced))}, geometry=outlines, crs=crs)
    seconds = {"shapes": time.perf_counter() - start}
    whole = table.dissolve(by="id")
    seconds["dissolve"] = time.perf_counter() - start - seconds["shapes"]
    whole.to_file(folder / "p.gpkg")
    return {
        "polygons": len(whole),
        **{f"{name}_s": round(value, 1) for name, value in seconds.items()},
        "seconds": round(time.perf_counter() - start, 1),
    }


def workers(count: int, folder: Path) -> dict[str, Any]:
    """Run convolutions over twelve blocks on Dask workers of one thread each."""
    scene = folder / "scene.tif"
    write_noise(scene, 4096, 3072)
    store, work = prepare(scene, folder, 3, Convolutions, 1024)
    clocked = Clocked(Cluster(workers=count))
    start = time.perf_counter()
    steps = run(store, work, clocked)
    total = time.perf_counter() - start
    return {"workers": count, "seconds": round(total, 1), "steps": steps, **clocked.told(start)}


class Clocked:
    """A scheduler that notes when its blocks are done."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._laps: list[tuple[float, float]] = []

    def run(self, work: Any, store: BlockStore, indices: Any) -> Iterator[dict[str, float]]:
        """See `Scheduler.run`."""
        for lap in self._scheduler.run(work, store, indices):
            self._laps.append((time.perf_counter(), sum(lap.values())))
            yield lap

    def told(self, start: float) -> dict[str, float]:
        """Return the seconds until the first block began, and from then to the last one's end."""
        first, spent = self._laps[0]
        began, ended = first - spent, self._laps[-1][0]
        return {"start_s": round(began - start, 1), "blocks_s": round(ended - began, 1)}


def kills(folder: Path) -> dict[str, Any]:
    """Kill `polygonize` at random moments, resume it, and compare the bytes."""
    write_buildings(folder / "mask.tif", 40_000)
    os.environ["SOURCE_DATE_EPOCH"] = "1000000000"
    start = time.perf_counter()
    subprocess.run(command(folder, "whole"), check=True, stdout=subprocess.DEVNULL)
    usual = time.perf_counter() - start
    expected = (folder / "whole.gpkg").read_bytes()
    chance = random.Random(5)
    trials = [killed(folder, f"k{n}", chance.uniform(0.3, 1.0) * usual) for n in range(KILLS)]
    equal = [(folder / f"k{n}.gpkg").read_bytes() == expected for n in range(KILLS)]
    left = [path.name for path in folder.iterdir() if "blocks" in path.name]
    return {"kills": trials, "equal": sum(equal), "of": KILLS, "left_behind": left}


def killed(folder: Path, name: str, after: float) -> str:
    """Kill a run after some seconds, tell where it was, and run it to its end."""
    process = subprocess.Popen(command(folder, name), stdout=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    process.wait()
    blocks = folder / f"{name}.gpkg.blocks"
    place = "before or after the work"
    if blocks.exists():
        place = f"in run, {len(list(blocks.glob('*.block')))} blocks done"
        place = "in finish" if (blocks / "finish").exists() else place
    subprocess.run([*command(folder, name), "--resume"], check=True, stdout=subprocess.DEVNULL)
    return f"{after:.2f} s: {place}"


def command(folder: Path, name: str) -> list[str]:
    """Return the command that makes polygons of the mask."""
    out = str(folder / f"{name}.gpkg")
    words = ["polygonize", str(folder / "mask.tif"), "--out", out, "--block", "512", "--quiet"]
    return [sys.executable, "-m", "samdomain", *words]


def prepare(
    scene: Path, folder: Path, bands: int, network: Any, block: int = BLOCK
) -> tuple[BlockStore, ProbabilityWork]:
    """Plan a run of a network over a scene."""
    with open_scene(scene) as opened:
        manifest = Manifest(
            verb="benchmark",
            scene=Identity.of(scene, opened.dataset.files),
            grid=Grid.of(opened),
            tiling=Tiling(block),
            threads=1,
            date=now(),
            versions=software(),
        )
    as_is = Stretch((0.0,) * bands, (255.0,) * bands)
    chosen = tuple(range(1, bands + 1))
    work = ProbabilityWork(network, chosen, as_is, (0.0,) * bands, Chips(512, 64, 8))
    return claim_store(folder / "blocks", manifest, resume=False), work


def write_sparse(path: Path, side: int) -> None:
    """Write a scene of which every fourth block has data: hills of brightness."""
    rows, columns = np.mgrid[:BLOCK, :BLOCK] / 40
    hills = (128 + 120 * np.sin(rows) * np.sin(columns)).astype(np.uint8)
    with rasterio.open(path, "w", **profile(side, side, 1), nodata=0) as target:
        for top in range(0, side, 2 * BLOCK):
            for left in range(0, side, 2 * BLOCK):
                target.write(hills, 1, window=rasterio.windows.Window(left, top, BLOCK, BLOCK))


def write_noise(path: Path, rows: int, columns: int) -> None:
    """Write a scene of random brightness in three bands."""
    values = np.random.default_rng(0).integers(0, 256, (3, rows, columns), dtype=np.uint8)
    with rasterio.open(path, "w", **profile(rows, columns, 3)) as target:
        target.write(values)


def write_buildings(path: Path, count: int) -> None:
    """Write about as many L-shaped buildings of random sizes, in rows."""
    across = round(count**0.5)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:CELL, :CELL]
    height, width = rng.integers(6, CELL, (2, across, across))
    with rasterio.open(path, "w", **profile(across * CELL, across * CELL, 1)) as target:
        for row in range(across):
            tall, wide = height[row][:, None, None], width[row][:, None, None]
            wall = (rows < tall) & (columns < wide) & ((rows < WALL) | (columns < WALL))
            strip = wall.transpose(1, 0, 2).reshape(CELL, across * CELL)
            window = rasterio.windows.Window(0, row * CELL, across * CELL, CELL)
            target.write(strip.astype(np.uint8), 1, window=window)


def profile(rows: int, columns: int, count: int) -> dict[str, Any]:
    """Return what rasterio is told of a scene of 0.5 m pixels."""
    return {
        "driver": "GTiff",
        "width": columns,
        "height": rows,
        "count": count,
        "dtype": "uint8",
        "crs": "EPSG:32636",
        "transform": Affine(0.5, 0, 500_000, 0, -0.5, 30_000),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "DEFLATE",
        "zlevel": 1,
        "sparse_ok": True,
    }


if __name__ == "__main__":
    main()
