"""Measure `samdomain segment` on drone imagery with mapped buildings.

    python benchmarks/segment.py [CELL ...]      as A21-shipped; all that are missing by default

For each scene the bounds of the mapped buildings are the prompts, with default flags. The mean
IoU of the returned with the mapped polygons is over buildings wholly inside the scene. Beside
the run as it ships stand, in the same process: the bare boxes, one window for each object, and
the model in plain torch, one image at a time, which is the fastest that torch alone does.

`workers_1` and `workers_2` share the blocks out among processes of one thread each, `block_2048`
cuts other blocks: the SHA-256 of the files shows that none of it changes them.

`parts` times the steps alone, each way in turn. `acceptance` compares what the cells of A21 and
`parts` hold with what is asked for; `network_s` of a run are the seconds inside the model. Times
are seconds of this machine: compare them with one another only, and only where `load` (of other
processes, as it began) is near 0. Each cell is a file in benchmarks/results/segment, written as it
ends; a cell that is there is not run again.
"""

import os
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
from grid import RESULTS, read_cell, run_grid
from real_data import FOLDER

from samdomain import Prompts, accelerate, decode, encode, load_sam
from samdomain.acceleration.engines import TorchEngine
from samdomain.sam import SamLike
from samdomain.weights import sha256
from samdomain_geo import segment
from samdomain_geo.scenes.windows import Sharing, share_windows

BUILDINGS = FOLDER / "kampala" / "buildings.geojson"
SCENES = ("A20", "A21")
SAME = ("instances.tif", "polygons.gpkg")
ALONE = Sharing(contexts=(2.5,), widest=2.5, margin=0.75)


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    variants = {
        "shipped": nullcontext,
        "plain_torch": plain_torch,
        "one_window_each": one_window_each,
    }
    flags: dict[str, dict[str, int]] = {
        "workers_1": {"workers": 1},
        "workers_2": {"workers": 2},
        "block_2048": {"block": 2048, "threads": 1},
    }
    scenes = {scene: FOLDER / "kampala" / f"{scene}.tif" for scene in SCENES}
    cells: dict[str, Callable[[], dict[str, Any]]] = {
        f"{scene}-{name}": partial(run, path, variant)
        for scene, path in scenes.items()
        for name, variant in variants.items()
    }
    cells |= {f"A21-{name}": partial(run, scenes["A21"], **some) for name, some in flags.items()}
    run_grid("segment", cells | {"parts": measure_parts, "acceptance": compare})


def run(
    scene: Path,
    variant: Callable[[], AbstractContextManager[None]] = nullcontext,
    **flags: int,
) -> dict[str, Any]:
    """Segment one scene in a variant and compare its polygons with the map."""
    dated = patch.dict(os.environ, {"SOURCE_DATE_EPOCH": "1000000000"})
    with tempfile.TemporaryDirectory() as folder, variant(), dated, network_timed() as network:
        accelerate(load_sam())  # a first conversion is no part of a run
        start, cpu = time.perf_counter(), time.process_time()
        result = segment(scene, prompts=BUILDINGS, out=Path(folder) / "out", **flags)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        digests = {name: sha256(result.folder / name) for name in SAME}
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
        "cpu_seconds": round(cpu, 1),
        "network_s": round(sum(network), 1),
        "stages": result.record["seconds"],
        "sha256": digests,
    }


def measure_parts() -> dict[str, Any]:
    """Time the first conversion, and one encoding and one decoding in each engine."""
    sam = load_sam()
    images = torch.rand(4, 3, 256, 256) * 255
    boxes = Prompts(boxes=torch.tensor([[60.0, 60, 200, 200]] * 8))

    def ready() -> SamLike:
        fast = accelerate(sam)
        decode(fast, encode(fast, images[0]), boxes)  # parts are compiled when they first run
        return fast

    with (
        tempfile.TemporaryDirectory() as empty,
        patch.dict(os.environ, {"SAMDOMAIN_CACHE": empty}),
    ):
        conversion, fast = timed(ready)
        loading, _ = timed(ready)
    with torch.no_grad():
        embedding = encode(fast, images[0])
        calls: dict[str, tuple[Callable[[], Any], int]] = {
            "encode_s": (lambda: encode(fast, images[0]), 1),
            "encode_plain_torch_s": (lambda: encode(sam, images[0]), 1),
            "encode_plain_torch_in_fours_s": (lambda: encode(sam, images), len(images)),
            "decode_s": (lambda: decode(fast, embedding, boxes), len(boxes)),
            "decode_plain_torch_s": (lambda: decode(sam, embedding, boxes), len(boxes)),
        }
        rounds = [
            {name: timed(call)[0] / items for name, (call, items) in calls.items()}
            for _ in range(8)
        ]
    # The first round warms up. Taking turns, each way meets the same load of the machine; the
    # fastest rounds met the least of it.
    medians = {name: median(turn[name] for turn in rounds[1:]) for name in calls}
    fastest = {name: min(turn[name] for turn in rounds[1:]) for name in calls}
    return {
        "first_conversion_s": round(conversion, 1),
        "later_loading_s": round(loading, 2),
        **{name: round(seconds, 4) for name, seconds in medians.items()},
        "fastest": {name: round(seconds, 4) for name, seconds in fastest.items()},
        "encoder_ratio": round(medians["encode_plain_torch_s"] / medians["encode_s"], 2),
        "encoder_ratio_fastest": round(fastest["encode_plain_torch_s"] / fastest["encode_s"], 2),
        "decoder_ratio": round(medians["decode_plain_torch_s"] / medians["decode_s"], 2),
        "decoder_ratio_fastest": round(fastest["decode_plain_torch_s"] / fastest["decode_s"], 2),
    }


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def compare() -> dict[str, Any]:
    """Hold the cells of A21 against the time that its encodings and decodings need."""
    names = ("parts", "A21-shipped", "A21-plain_torch")
    parts, shipped, plain = (read_cell("segment", name) for name in names)
    network = shipped["windows"] * parts["encode_s"] + shipped["objects"] * parts["decode_s"]
    bound = 1.3 * network + 5
    return shared_out() | {
        "loads": [cell["load"] for cell in (parts, shipped, plain)],
        "network_s": round(network, 1),
        "bound_s": round(bound, 1),
        "seconds": shipped["seconds"],
        "within_bound": shipped["seconds"] <= bound,
        "run_ratio": round(plain["seconds"] / shipped["seconds"], 2),
        "run_ratio_cpu": round(plain["cpu_seconds"] / shipped["cpu_seconds"], 2),
        "overhead": round(1 - shipped["network_s"] / shipped["seconds"], 3),
        "encoder_ratio": parts["encoder_ratio"],
        "encoder_ratio_fastest": parts["encoder_ratio_fastest"],
    }


def shared_out() -> dict[str, Any]:
    """Compare runs that are shared out or cut otherwise, as far as their cells are there."""
    names = ("workers_1", "workers_2", "block_2048")
    if not all((RESULTS / "segment" / f"A21-{name}.json").exists() for name in names):
        return {}
    cells = {name: read_cell("segment", f"A21-{name}") for name in names}
    one, two = (cells[name]["stages"]["run"] for name in ("workers_1", "workers_2"))
    return {
        "same_files": all(
            cell["sha256"] == cells["workers_1"]["sha256"] for cell in cells.values()
        ),
        "two_workers": round(one / two, 2),
    }


@contextmanager
def network_timed() -> Iterator[list[float]]:
    """Note the seconds of each call of the model in this process."""
    spent: list[float] = []

    def timing(call: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*inputs: Any, **options: Any) -> Any:
            seconds, result = timed(lambda: call(*inputs, **options))
            spent.append(seconds)
            return result

        return clocked

    where = "samdomain_geo.objects.prompted"
    with patch(f"{where}.encode", timing(encode)), patch(f"{where}.decode", timing(decode)):
        yield spent


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
    """Run encoder and decoder in plain torch."""
    with patch("samdomain.acceleration.snapshot.choose_engine", lambda _: TorchEngine()):
        yield


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the IoU of polygons pair by pair; a missing one counts 0."""
    both = shapely.area(shapely.intersection(a, b))
    return np.nan_to_num(both / (shapely.area(a) + shapely.area(b) - both))


if __name__ == "__main__":
    main()
