"""Work with a network that sees the same everywhere; in a file, so that workers can load it."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from torch import nn

from samdomain_geo.classes.probability import (
    NO_DATA,
    ProbabilityWork,
    mask_layer,
    probability_layer,
)
from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.in_process import InProcess
from samdomain_geo.engine.mosaic import write_mosaic
from samdomain_geo.engine.plan import Block, Manifest
from samdomain_geo.objects.instance_blocks import LABELS, join_instances
from samdomain_geo.polygons.labelling import label_regions
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.stretch import Stretch

RADIUS = 4


class BoxMean:
    """The mean brightness within 4 pixels, 0 to 1; sums of whole numbers are exact."""

    def __call__(self, chips: np.ndarray) -> np.ndarray:
        side = 2 * RADIUS + 1
        bright = torch.from_numpy(chips).double().sum(dim=1, keepdim=True)
        total = nn.functional.avg_pool2d(bright, side, 1, RADIUS, divisor_override=1)
        return (total / (chips.shape[1] * 255 * side**2)).float().numpy()


@dataclass(frozen=True)
class InstanceWork(ProbabilityWork):
    """Work that calls each region of a probability from a half on an instance."""

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["_InstanceWorker"]:
        with super().open(manifest) as worker:
            yield _InstanceWorker(worker)


class _InstanceWorker:
    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def read(self, block: Block) -> Any:
        return self._worker.read(replace(block, window=block.context))

    def compute(self, block: Block, source: Any) -> dict[str, np.ndarray]:
        arrays = self._worker.compute(replace(block, window=block.context), source)
        if not arrays:
            return {}
        levels = arrays["probability"][0]
        bright = (levels >= 127) & (levels != NO_DATA)
        return {LABELS: label_regions(bright.astype(np.int64), bright, 4).labels}


@dataclass(frozen=True)
class Shuffled:
    """Scheduler that does blocks in another order."""

    seed: int

    def run(self, work: Any, store: BlockStore, indices: Sequence[int]) -> Iterator[dict]:
        order = random.Random(self.seed).sample(list(indices), len(indices))
        return InProcess().run(work, store, order)


def works(chips: Chips) -> dict[str, ProbabilityWork]:
    """Return the works by name."""
    given = (BoxMean, (1,), Stretch((0.0,), (255.0,)), (0.0,), chips)
    return {"probability": ProbabilityWork(*given), "instances": InstanceWork(*given)}


def results(store: BlockStore, kind: str) -> dict[str, np.ndarray]:
    """Write what a run was for, and read it."""
    layers = {
        "probability": lambda: {
            "p": probability_layer(["bright"]),
            "m": mask_layer(["bright"], overlapping=True),
        },
        "instances": lambda: {"i": join_instances(store).layer(store)},
    }[kind]()
    return {name: _read(store, name, layer) for name, layer in layers.items()}


def _read(store: BlockStore, name: str, layer: Any) -> np.ndarray:
    path = Path(store.folder, f"{name}.tif")
    write_mosaic(store, layer, path, {})
    with rasterio.open(path) as dataset:
        return dataset.read(1)
