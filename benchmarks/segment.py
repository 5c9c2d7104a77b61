"""Measure `samdomain segment` on drone imagery with mapped buildings.

    python benchmarks/segment.py [CELL ...]      as A21-shipped; all that are missing by default

For each scene the bounds of the mapped buildings are the prompts, with default flags. The mean
IoU of the returned with the mapped polygons is over buildings wholly inside the scene. Beside
the run as it ships stand, in the same process: the bare boxes, one window for each object, and
the encoder in plain torch. Times are wall seconds of this machine: compare them with one another
only. Each cell is a file in benchmarks/results/segment, written as it ends; a cell that is there
is not run again.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import geopandas as gpd
import numpy as np
import shapely
import torch
from grid import run_grid
from real_data import FOLDER

from samdomain import Prompts, accelerate, decode, encode, load_sam
from samdomain.acceleration.engines import TorchEngine
from samdomain_geo import segment
from samdomain_geo.windows import Sharing, share_windows

BUILDINGS = FOLDER / "kampala" / "buildings.geojson"
SCENES = ("A20", "A21")
ALONE = Sharing(contexts=(2.5,), widest=2.5, margin=0.75)


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    variants = {
        "shipped": nullcontext,
        "one_window_each": one_window_each,
        "plain_torch": plain_torch,
    }
    cells = {"parts": measure_parts} | {
        f"{scene}-{name}": partial(run, FOLDER / "kampala" / f"{scene}.tif", variant)
        for name, variant in variants.items()
        for scene in SCENES
    }
    run_grid("segment", cells)


def run(scene: Path, variant: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
    """Segment one scene in a variant and compare its polygons with the map."""
    with tempfile.TemporaryDirectory() as folder, variant():
        start = time.perf_counter()
        result = segment(scene, prompts=BUILDINGS, out=Path(folder) / "out")
        seconds = time.perf_counter() - start
    truth = gpd.read_file(BUILDINGS).to_crs(result.objects.crs)
    mapped = truth.geometry.make_valid().loc[result.objects["prompt_fid"]].to_numpy()
    whole = ~result.objects["flags"].str.contains("clipped").to_numpy()
    found = iou(result.objects.geometry.to_numpy(), mapped)
    boxes = iou(shapely.box(*shapely.bounds(mapped).T), mapped)
    return {
        "mean_iou": round(float(found[whole].mean()), 4),
        "median_iou": round(float(np.median(found[whole])), 4),
        "mean_iou_of_bare_boxes": round(float(boxes[whole].mean()), 4),
        **result.record["counts"],
        "engine": result.record["engine"],
        "seconds": round(seconds, 1),
        "stages": result.record["seconds"],
    }


def measure_parts() -> dict[str, float]:
    """Time one encoding in each engine and the decoding of one prompt, medians of five."""
    sam = load_sam()
    start = time.perf_counter()
    fast = accelerate(sam)
    prepare = time.perf_counter() - start
    image = torch.rand(3, 256, 256) * 255
    boxes = Prompts(boxes=torch.tensor([[60.0, 60, 200, 200]] * 8))
    with torch.no_grad():
        embedding = encode(fast, image)
        quick = timed(lambda: encode(fast, image))
        plain = timed(lambda: encode(sam, image))
        decoding = timed(lambda: decode(fast, embedding, boxes)) / len(boxes)
    return {
        "accelerate_s": round(prepare, 2),
        "encode_s": round(quick, 4),
        "encode_plain_torch_s": round(plain, 4),
        "encoder_ratio": round(plain / quick, 2),
        "decode_s": round(decoding, 4),
    }


def timed(call: Any) -> float:
    """Return the median seconds of five calls after a first one."""
    seconds: list[float] = []
    for _ in range(6):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])


@contextmanager
def one_window_each() -> Iterator[None]:
    """Look at each object in a window of its own."""
    with patch(
        "samdomain_geo.verbs.segment.share_windows",
        lambda boxes, rows, columns: share_windows(boxes, rows, columns, ALONE),
    ):
        yield


@contextmanager
def plain_torch() -> Iterator[None]:
    """Run the encoder in plain torch."""
    with patch("samdomain.acceleration.snapshot.choose_engine", lambda _: TorchEngine()):
        yield


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the IoU of polygons pair by pair; a missing one counts 0."""
    both = shapely.area(shapely.intersection(a, b))
    return np.nan_to_num(both / (shapely.area(a) + shapely.area(b) - both))


if __name__ == "__main__":
    main()
