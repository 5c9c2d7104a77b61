"""Train `samed` on real scenes beside torchgeo's U-Net, and measure both where neither trained.

    python benchmarks/landcover.py [CELL ...]     as dubai-samed-0; all missing by default

dubai-NETWORK-SEED: six classes of land cover, by the splits of the data. nepal-NETWORK-SEED:
buildings of a drone's mosaic, trained on its west and measured on its eastern third; scenes of
Kampala at 7, 15 and 30 cm show what carries over to another continent. Both networks see the same
chips, both are blended from the same overlapping chips, and the U-Net (ResNet-18, random weights)
has the minutes that `samed` of the same seed took. Epochs are chosen on validation.

`seconds` are wall seconds of the training with the first pass through the frozen encoder.
"""

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid import read_cell, run_grid
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from numpy.typing import NDArray
from rasterio.windows import Window
from real_data import FOLDER
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo.trainers import SemanticSegmentationTask

from samdomain.adapter_file import read_adapter
from samdomain.recipes import Batch, Legend
from samdomain.training.command import Command
from samdomain.training.dataset import SampleDataset
from samdomain.training.fit import fit
from samdomain.training.objects import UNLABELLED
from samdomain.training.pictures import read_values
from samdomain.training.sample import Sample
from samdomain.training.tallies import ClassTally
from samdomain_geo.classes.class_network import NetworkSource, chips_for
from samdomain_geo.data.scene_chip import FILL
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.chips import Blend, Chips
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.verbs.init import init

RUNS = Path(__file__).parent / "runs"
SEEDS = (0, 1, 2)
KAMPALA = ("A21", "A20", "A19")

Result = dict[str, Any]
Look = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Gives probabilities (B, K, rows, columns) of chips (B, bands, rows, columns), 0 to 255."""


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    cells: dict[str, Callable[[], Result]] = {}
    for place in ("dubai", "nepal"):
        for seed in SEEDS:
            cells[f"{place}-samed-{seed}"] = partial(samed, place, seed)
            cells[f"{place}-unet-{seed}"] = partial(unet, place, seed)
    run_grid("landcover", cells)


def samed(place: str, seed: int) -> Result:
    """Train an adapter by the config that ships, or that `init` writes, and measure it."""
    words = configured(place)
    began, folder = time.process_time(), RUNS / f"{place}-samed-{seed}"
    more = ["--resume"] if folder.exists() else []
    told = dict(fit([*words, f"--seeds={seed}", f"--out={folder}", "--half", *more]).summary())
    card = read_adapter(folder / "adapter").card
    sizes = sum(path.stat().st_size for path in (folder / "adapter").iterdir())

    def network(pixel: float | None) -> tuple[Look, Chips]:
        chips = chips_for(card, 256, pixel)
        return NetworkSource(str(folder / "adapter"), None, "f32", chips.size)(), chips

    return {
        **{key: told[key] for key in ("trained values", "epochs", "seconds")},
        "cpu_seconds": round(time.process_time() - began, 1),
        "adapter_bytes": sizes,
        "val": {key: round(one, 4) for key, one in told["val"].items()},
        **measured(place, network, Legend(card.classes)),
    }


def unet(place: str, seed: int) -> Result:
    """Train torchgeo's U-Net for as long, and measure it."""
    minutes = read_cell("landcover", f"{place}-samed-{seed}")["seconds"] / 60
    seed_everything(seed, workers=True, verbose=False)
    built = Command("fit", configured(place)).build(seed)
    legend = built.module.recipe.legend
    side = built.data.source.scale(built.data.folder).chip
    task = SemanticSegmentationTask(
        "unet",
        "resnet18",
        num_classes=len(legend),
        ignore_index=UNLABELLED,
        lr=1e-3,
    )
    loaders = [
        DataLoader(Tiles(built.data.found("train").samples, 8), 8, shuffle=True, drop_last=True),
        DataLoader(Tiles(built.data.found("val").samples, 1), 8),
    ]
    best = ModelCheckpoint(monitor="val_MulticlassJaccardIndex", mode="max")
    trainer = Trainer(
        max_time={"minutes": minutes},
        max_epochs=-1,
        logger=False,
        callbacks=[best],
        default_root_dir=RUNS / f"{place}-unet-{seed}",
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    began = time.monotonic()
    trainer.fit(task, *loaders)
    seconds = time.monotonic() - began
    task.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    task.eval()

    def network(pixel: float | None) -> tuple[Look, Chips]:
        del pixel  # it sees pixels as they are
        return partial(look, task), Chips(side, side // 4, side // 16)

    return {
        "trained values": sum(one.numel() for one in task.model.parameters()),
        "epochs": trainer.current_epoch,
        "seconds": round(seconds, 1),
        **measured(place, network, legend),
    }


class Tiles(Dataset[dict[str, Tensor]]):
    """Chips as torchgeo's task takes them, once in each of several views."""

    def __init__(self, samples: Iterable[Sample], views: int) -> None:
        self._items = SampleDataset(tuple(samples), views)

    def __len__(self) -> int:
        """Return the number of chips times the number of views."""
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a chip from 0 to 1 with its classes."""
        item = self._items[index]
        return {"image": item.image.float() / 255, "mask": item.masks.long()}


@torch.no_grad()
def look(task: SemanticSegmentationTask, chips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the U-Net's probabilities; chips are filled up to sides that it can halve."""
    rows, columns = chips.shape[2:]
    side = 32 * -(-max(rows, columns) // 32)
    filled = np.full((*chips.shape[:2], side, side), FILL, np.float32)
    filled[..., :rows, :columns] = chips
    found = task(torch.from_numpy(filled) / 255).softmax(dim=1)
    return found[..., :rows, :columns].numpy()


def configured(place: str) -> list[str]:
    """Return the words that name a config."""
    if place == "dubai":
        return ["--config=landcover", f"--data.folder={FOLDER / 'dubai-landcover'}"]
    path = RUNS / "nepal.yaml"
    if not path.exists():
        RUNS.mkdir(exist_ok=True)
        nepal = FOLDER / "nepal"
        areas = write_areas(RUNS / "nepal-areas.geojson")
        init(
            scene=nepal / "mosaic.tif",
            labels=nepal / "buildings.geojson",
            out=path,
            split=str(areas),
        )
    return [f"--config={path}"]


def write_areas(path: Path) -> Path:
    """Write the splits of the mosaic by its columns of 512 pixels: 3 train, 1 val, 2 test."""
    with open_scene(FOLDER / "nepal/mosaic.tif") as scene:
        edges = {"train": (0, 1536), "val": (1536, 2048), "test": (2048, scene.columns)}
        features = []
        for split, (left, right) in edges.items():
            corners = [(left, 0), (right, 0), (right, scene.rows), (left, scene.rows), (left, 0)]
            ring = [list(scene.transform @ corner) for corner in corners]
            geometry = {"type": "Polygon", "coordinates": [ring]}
            row = {"type": "Feature", "properties": {"split": split}, "geometry": geometry}
            features.append(row)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def measured(
    place: str,
    network: Callable[[float | None], tuple[Look, Chips]],
    legend: Legend,
) -> Result:
    """Measure a network on the test of a place, and what else is told of it."""
    if place == "dubai":
        tally = ClassTally(legend)
        folder = FOLDER / "dubai-landcover"
        looking, chips = network(None)
        for sample in (
            Command("test", configured(place))
            .build(0)
            .data.source.source.find(folder, "test")
            .samples
        ):
            image = sample.image.read().float().numpy()
            add(tally, blended(looking, chips, image), sample.masks.read(), sample.name)
        return {"test": rounded(tally)}
    return {"test": nepal(network, legend), **kampala(network, legend)}


def nepal(network: Callable[[float | None], tuple[Look, Chips]], legend: Legend) -> Result:
    """Measure on the eastern third of the mosaic."""
    with open_scene(FOLDER / "nepal/mosaic.tif") as scene:
        pixels, _ = scene.read(Window(0, 0, scene.columns, scene.rows))
        looking, chips = network(pixel_width(scene, Ellipsoid.of(scene.crs)))
    truth = (read_values(FOLDER / "nepal/mosaic_mask.tif") > 0).long()
    tally = ClassTally(legend)
    found = blended(looking, chips, pixels)
    add(tally, found[..., 2048:], truth[:, 2048:], "nepal")
    return rounded(tally)


def kampala(network: Callable[[float | None], tuple[Look, Chips]], legend: Legend) -> Result:
    """Measure on scenes of another continent, at three pixel sizes."""
    result: Result = {}
    for name in KAMPALA:
        with open_scene(FOLDER / f"kampala/{name}.tif") as scene:
            pixels, _ = scene.read(Window(0, 0, scene.columns, scene.rows))
            looking, chips = network(pixel_width(scene, Ellipsoid.of(scene.crs)))
        truth = (read_values(FOLDER / f"kampala/{name}_mask.tif") > 0).long()
        tally = ClassTally(legend)
        add(tally, blended(looking, chips, pixels), truth, name)
        result[name] = {**rounded(tally), "chip": chips.size}
    return result


def blended(looking: Look, chips: Chips, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities (K, rows, columns) of an image, blended from overlapping chips."""
    rows, columns = image.shape[1:]
    whole = Window(0, 0, columns, rows)
    blend: Blend | None = None
    for chip in chips.over(whole, rows, columns):
        part = image[
            :,
            chip.row_off : chip.row_off + chip.height,
            chip.col_off : chip.col_off + chip.width,
        ]
        values = looking(part[None])[0]
        blend = blend or Blend(whole, len(values))
        blend.add(chip, values, chips.weights(chip, rows, columns))
    if blend is None:
        raise ValueError("an image without pixels")
    return blend.mean()


def add(tally: ClassTally, found: NDArray[np.float32], truth: Tensor, name: str) -> None:
    """Count an image."""
    image = torch.zeros(3, *truth.shape)
    tally.add(torch.from_numpy(found).clamp(min=1e-9).log(), Batch([image], [truth], [name]))


def rounded(tally: ClassTally) -> dict[str, float]:
    """Return figures as they are told."""
    return {name.removeprefix("pooled_"): round(v, 4) for name, v in tally.pooled().items()}


if __name__ == "__main__":
    main()
