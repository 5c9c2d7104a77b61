"""Measure how the scene engine scales: memory, time, polygons, workers, and what kills leave.

    python benchmarks/scale.py [CELL ...]      as memory-32768; all that are missing by default

memory-N: a scene of N x N pixels, a quarter of it with data, through a network that costs next to
nothing, to probability.tif and mask.tif, three times, of which the median of memory and time is
told: the small ones take a second. empty-N: the same of a scene without data. polygons-N: N
buildings with `polygonize`; reference-N the same with rasterio.features.shapes over the whole
raster and a geopandas dissolve. workers-N: convolutions on N Dask workers of one thread each, over
twelve blocks. big-N: a mosaic of N x N random bytes, which do not compress. kills-N: `polygonize`
of N buildings killed three times while it plans, four times in its run and three times while it
finishes. N may be any number, to try a cell in small.

Inputs are made beforehand; each cell then runs in a process of its own. `peak_mb` is the
most resident memory of its process tree, see memory.py, libraries included (Linux only); `cpu_s` is
processor time of the tree; `load` is the machine's load before and `load_after` after, since others
may be using it. Each cell is a file in benchmarks/results/scale; a cell that is there is not run
again. Times are wall seconds of this machine: compare them with one another only.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from grid import run_grid
from kills import kills
from made_rasters import BLOCK, write_buildings, write_noise, write_nothing, write_sparse
from memory import watch
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.windows import Window
from toy_network import BoxMean, Convolutions

from samdomain_geo import polygonize
from samdomain_geo.classes.probability import ProbabilityWork, mask_layer, probability_layer
from samdomain_geo.engine.block_store import BlockStore, claim_store
from samdomain_geo.engine.cluster import Cluster
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.mosaic import Layer, write_mosaic
from samdomain_geo.engine.plan import Block, Grid, Manifest, Tiling, now, software
from samdomain_geo.engine.run import Scheduler, run
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.scenes.stretch import Stretch

CELLS = (
    *(f"memory-{side}" for side in (4096, 8192, 16384, 32768)),
    "empty-32768",
    "polygons-250000",
    "polygons-500000",
    "reference-500000",
    "workers-1",
    "workers-2",
    "kills-40000",
    "big-66000",
)
BIG_TIFF = b"II+\0"
TIMES = 3

Result = dict[str, Any]


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    if sys.argv[1:2] == ["--inside"]:
        name, folder = sys.argv[2:]
        result = inside(name, Path(folder))
        Path(folder, "result.json").write_text(json.dumps(result))
        return
    run_grid("scale", {name: partial(measured, name) for name in sys.argv[1:] or CELLS})


def measured(name: str) -> Result:
    """Make the inputs of a cell, run it in processes of its own, and watch their memory."""
    kind, number = name.split("-")
    with tempfile.TemporaryDirectory() as folder:
        make, _ = KINDS[kind]
        make(Path(folder), int(number))
        runs = [watched(name, Path(folder)) for _ in range(TIMES if kind == "memory" else 1)]
    if len(runs) == 1:
        return {**runs[0], "load_after": round(os.getloadavg()[0], 1)}
    every = {name: [run[name] for run in runs] for name in ("peak_mb", "ns_per_pixel")}
    return {
        **runs[0],
        **{name: median(values) for name, values in every.items()},
        "runs": every,
        "load_after": round(os.getloadavg()[0], 1),
    }


def watched(name: str, folder: Path) -> Result:
    """Run a cell on inputs that are there."""
    shutil.rmtree(folder / "blocks", ignore_errors=True)
    peak = watch([sys.executable, __file__, "--inside", name, str(folder)])
    result = json.loads((folder / "result.json").read_text())
    return {**result, "peak_mb": round(peak / 1e6)}


def inside(name: str, folder: Path) -> Result:
    """Run a cell, and count its processor time."""
    kind, number = name.split("-")
    _, cell = KINDS[kind]
    result = cell(folder, int(number))
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {**result, "cpu_s": round(sum(one.ru_utime + one.ru_stime for one in usage), 1)}


def flow(folder: Path, side: int) -> Result:
    """Run a scene through a network that costs next to nothing."""
    start = time.perf_counter()
    store, work = prepare(folder, 1, BoxMean)
    steps = run(store, work, InProcess())
    ran = time.perf_counter()
    write_mosaic(store, probability_layer(["bright"]), folder / "probability.tif", {})
    write_mosaic(store, mask_layer(["bright"], overlapping=True), folder / "mask.tif", {})
    end = time.perf_counter()
    return {
        "side": side,
        "run_s": round(ran - start, 1),
        "mosaic_s": round(end - ran, 1),
        "ns_per_pixel": round((end - start) / side**2 * 1e9, 1),
        "steps": steps,
        "blocks_mb": sum(p.stat().st_size for p in store.folder.iterdir()) >> 20,
    }


def polygons(folder: Path, count: int) -> Result:
    """Turn a raster of buildings into polygons."""
    start = time.perf_counter()
    result = polygonize(folder / "mask.tif", out=folder / "p.gpkg")
    told = result.summary()
    return {
        "buildings": count,
        "polygons": told["polygons"],
        "seconds": round(time.perf_counter() - start, 1),
        "stages": told["seconds"],
        "steps": told["steps"],
    }


def reference(folder: Path, count: int) -> Result:
    """Do the same as one would without an engine; areas are left out, in its favour."""
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
        "buildings": count,
        "polygons": len(whole),
        **{f"{name}_s": round(value, 1) for name, value in seconds.items()},
        "seconds": round(time.perf_counter() - start, 1),
    }


def workers(folder: Path, count: int) -> Result:
    """Run convolutions over twelve blocks on Dask workers of one thread each."""
    store, work = prepare(folder, 3, Convolutions)
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


def big(folder: Path, side: int) -> Result:
    """Write a mosaic that does not compress, and read some of it again."""
    manifest = plan(folder / "scene.tif", 2048)
    store = claim_store(folder / "blocks", manifest, resume=False)
    start = time.perf_counter()
    run(store, Noise(), InProcess())
    ran = time.perf_counter()
    layer = Layer(lambda _, arrays: arrays["noise"], "uint8", 255, ("noise",))
    write_mosaic(store, layer, folder / "big.tif", {})
    end = time.perf_counter()
    chosen = [manifest.block(index) for index in {0, len(manifest) // 2, len(manifest) - 1}]
    with rasterio.open(folder / "big.tif") as dataset:
        same = [(dataset.read(window=b.window) == noise(b)).all() for b in chosen]
    with (folder / "big.tif").open("rb") as file:
        head = file.read(4)
    return {
        "side": side,
        "bytes": (folder / "big.tif").stat().st_size,
        "big_tiff": head == BIG_TIFF,
        "blocks_equal": f"{sum(same)} of {len(chosen)} looked at",
        "run_s": round(ran - start, 1),
        "mosaic_s": round(end - ran, 1),
    }


@dataclass(frozen=True)
class Noise:
    """Work that looks at nothing and makes bytes that do not compress."""

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["Noise"]:  # noqa: ARG002 - a Work
        """Open nothing."""
        yield self

    def read(self, block: Block) -> Window:
        """Read nothing."""
        return block.window

    def compute(
        self,
        block: Block,
        source: Window,  # noqa: ARG002 - a Worker
    ) -> Mapping[str, NDArray[Any]]:
        """Return the block's bytes."""
        return {"noise": noise(block)}


def noise(block: Block) -> NDArray[np.uint8]:
    """Return the random bytes (1, rows, columns) of a block; always the same, and no nodata."""
    shape = 1, round(block.window.height), round(block.window.width)
    return np.random.default_rng(block.index).integers(0, 255, shape, dtype=np.uint8)


def prepare(folder: Path, bands: int, network: Any) -> tuple[BlockStore, ProbabilityWork]:
    """Plan a run of a network over a scene."""
    manifest = plan(folder / "scene.tif", BLOCK)
    as_is = Stretch((0.0,) * bands, (255.0,) * bands)
    chosen = tuple(range(1, bands + 1))
    work = ProbabilityWork(network, chosen, as_is, (0.0,) * bands, Chips(512, 64, 8))
    return claim_store(folder / "blocks", manifest, resume=False), work


def plan(scene: Path, block: int) -> Manifest:
    """Plan blocks over a scene, with one thread for the network."""
    with open_scene(scene) as opened:
        return Manifest(
            verb="benchmark",
            scene=Identity.of(scene, opened.dataset.files),
            grid=Grid.of(opened),
            tiling=Tiling(block),
            threads=1,
            date=now(),
            versions=software(),
        )


def made(name: str, write: Callable[..., None], *given: int) -> Callable[[Path, int], None]:
    """Return what makes the input of a kind of cell; its number is the last argument."""
    return lambda folder, number: write(folder / name, *(given or (number,)))


KINDS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path, int], Result]]] = {
    "memory": (made("scene.tif", write_sparse), flow),
    "empty": (made("scene.tif", write_nothing), flow),
    "polygons": (made("mask.tif", write_buildings), polygons),
    "reference": (made("mask.tif", write_buildings), reference),
    "workers": (made("scene.tif", write_noise, 4096, 3072), workers),
    "big": (made("scene.tif", write_nothing), big),
    "kills": (made("mask.tif", write_buildings), lambda folder, _: kills(folder)),
}


if __name__ == "__main__":
    main()
