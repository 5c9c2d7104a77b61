"""Train `samed` on real scenes beside torchgeo's U-Net, and measure both where neither trained.

    python benchmarks/landcover.py [CELL ...]     as dubai-samed-0; all missing by default

dubai-NETWORK-SEED: six classes of land cover, by the splits of the data; `tokens` is `samed` with a
token a class, the preset that is not taken. nepal-NETWORK-SEED:
buildings of a drone's mosaic, trained on its west and measured on its eastern third; scenes of
Kampala at 7, 15 and 30 cm show what carries over to another continent. nepal-polygons-SEED: the
polygons that `samdomain segment` makes of the mosaic by that adapter, against those of the eastern
third that are mapped.

Both networks see the same chips, drawn alike; make the same loss smaller (cross-entropy and Dice)
by AdamW with a rate that falls as a cosine; compute in bf16 where the processor has it, in the
test in fp32; and are blended from the same overlapping chips, which are resampled to the pixels of
the training. Epochs are chosen on validation, by the mean IoU of the classes that its truth has.
`samed` trains by the config that ships, or that `init` writes, for 10 minutes at most; the U-Net
(ResNet-18, random weights, eight views) trains for 10 minutes.

`seconds` are wall seconds of the training with the first pass through the frozen encoder, and of
the last start alone where a training was cut off.
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from grid import precision, run_grid
from land_maps import Look, Network, add, blended, on_scene, rounded
from land_unet import MEAN_IOU, Tiles, UNet, look
from real_data import FOLDER
from rivals import RUNS, own_features, train_rival
from torch.utils.data import DataLoader

from samdomain.adapter_file import AdapterCard, read_adapter
from samdomain.recipes import Legend, Recipe
from samdomain.training.command import Command
from samdomain.training.dataset import SampleDataset, ViewSampler
from samdomain.training.fit import fit
from samdomain.training.objects import UNLABELLED
from samdomain.training.tallies import ClassTally
from samdomain.views import VIEWS
from samdomain_geo.classes.class_network import NetworkSource, chips_for
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.verbs.evaluate import evaluate
from samdomain_geo.verbs.init import init
from samdomain_geo.verbs.segment import segment

SEEDS = (0, 1, 2)
MINUTES = 10
KAMPALA = ("A21", "A20", "A19")
EAST = 2048  # column of the mosaic of Nepal from which on nothing trains

Result = dict[str, Any]


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    cells: dict[str, Callable[[], Result]] = {}
    for place in ("dubai", "nepal"):
        for seed in SEEDS:
            cells[f"{place}-samed-{seed}"] = partial(samed, place, seed)
            cells[f"{place}-unet-{seed}"] = partial(unet, place, seed)
    tokens = ("--model.recipe.preset=recommended",)
    cells["dubai-tokens-0"] = partial(samed, "dubai", 0, "tokens", tokens)
    cells |= {f"nepal-polygons-{seed}": partial(polygons, seed) for seed in SEEDS}
    run_grid("landcover", cells)


def samed(place: str, seed: int, name: str = "samed", changes: Sequence[str] = ()) -> Result:
    """Train an adapter by the config that ships, or that `init` writes, and measure it."""
    cell = f"{place}-{name}-{seed}"
    folder = RUNS / cell
    more = ["--resume"] if folder.exists() else []
    words = [*configured(place), *changes, f"--seeds={seed}", f"--out={folder}", "--half", *more]
    words += [f"--trainer.max_time=00:00:{MINUTES:02}:00", f"--trainer.precision={precision()}"]
    words += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    began = time.process_time()
    with own_features(cell):
        told = dict(fit(words).summary())
    cpu = time.process_time() - began
    card = read_adapter(folder / "adapter").card

    def network(chips: Chips) -> Look:
        return NetworkSource(str(folder / "adapter"), None, "f32", chips.size)()

    return {
        **{key: told[key] for key in ("trained values", "epochs", "seconds")},
        "cpu_seconds": round(cpu, 1),
        "adapter_bytes": sum(one.stat().st_size for one in (folder / "adapter").iterdir()),
        "val": {key: round(one, 4) for key, one in told["val"].items()},
        **measured(place, network, card),
    }


def unet(place: str, seed: int) -> Result:
    """Train torchgeo's U-Net on the same chips, and measure it."""
    built = Command("fit", configured(place)).build(seed)
    legend, data = Legend(named(built.module.recipe)), built.data
    scale = data.source.scale(data.folder)
    card = AdapterCard(classes=legend.names, chip_size=scale.chip, pixel_size=scale.pixel)
    task = UNet(
        "unet",
        "resnet18",
        weights=None,
        num_classes=len(legend),
        ignore_index=UNLABELLED,
        lr=1e-3,
    )
    task.minutes = MINUTES
    looks = data.source.augmentation()
    every = SampleDataset(data.found("train").samples, len(VIEWS), looks)
    sampler = ViewSampler(every.samples, every.variants, seed)
    loaders = [
        DataLoader(Tiles(every), data.batch_size, sampler=sampler, drop_last=True),
        DataLoader(Tiles(SampleDataset(data.found("val").samples)), 8),
    ]
    folder = RUNS / f"{place}-unet-{seed}"
    told = train_rival(task, loaders, f"val_{MEAN_IOU}", MINUTES, folder)
    side = int(scale.chip or 0)
    return told | measured(place, lambda chips: partial(look, task, side, chips.size), card)


def polygons(seed: int) -> Result:
    """Make polygons of the mosaic by the adapter of a seed, and measure those in the east."""
    nepal, out = FOLDER / "nepal", RUNS / f"nepal-polygons-{seed}"
    adapter = RUNS / f"nepal-samed-{seed}" / "adapter"
    found = segment(nepal / "mosaic.tif", out=out, adapter=str(adapter), overwrite=True).summary()
    east = write_areas(RUNS / "nepal-east.geojson", ("test",))
    truth = nepal / "buildings.geojson"
    told = evaluate(out / "polygons.gpkg", truth=truth, area=east, tolerance=1.0, overwrite=True)
    return {
        "counts": found["counts"],
        "seconds": found["seconds"],
        "test": {name: one and round(one, 4) for name, one in told.headline.items()},
        "notes": list(told.notes),
    }


def named(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of a recipe's classes."""
    if recipe.legend is None:
        raise TypeError(f"recipe {recipe.name!r} has no classes")
    return recipe.legend.names


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


def write_areas(path: Path, splits: Sequence[str] = ("train", "val", "test")) -> Path:
    """Write splits of the mosaic by its columns of 512 pixels: 3 train, 1 val, 2 test."""
    with open_scene(FOLDER / "nepal/mosaic.tif") as scene:
        edges = {"train": (0, 1536), "val": (1536, EAST), "test": (EAST, scene.columns)}
        features = []
        for split in splits:
            left, right = edges[split]
            corners = [(left, 0), (right, 0), (right, scene.rows), (left, scene.rows), (left, 0)]
            ring = [list(scene.transform @ corner) for corner in corners]
            geometry = {"type": "Polygon", "coordinates": [ring]}
            row = {"type": "Feature", "properties": {"split": split}, "geometry": geometry}
            features.append(row)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def measured(place: str, network: Network, card: AdapterCard) -> Result:
    """Measure a network on the test of a place, and what else is told of it.

    Args:
        place: dubai or nepal.
        network: makes what looks at chips of a grid.
        card: its classes, and the chips and pixels that it trained on.
    """
    if place == "dubai":
        chips, tally = chips_for(card, 256, None), ClassTally(Legend(card.classes))
        looking, folder = network(chips), FOLDER / "dubai-landcover"
        # The images as they are: chips are cut here, and overlap.
        source = Command("test", configured(place)).build(0).data.source.source
        for sample in source.find(folder, "test").samples:
            image = sample.image.read().float().numpy()
            add(tally, blended(looking, chips, image), sample.masks.read(), sample.name)
        return {"test": rounded(tally)}
    scenes = {"test": ("nepal/mosaic", EAST)} | {name: (f"kampala/{name}", 0) for name in KAMPALA}
    return {name: on_scene(network, card, *where) for name, where in scenes.items()}


if __name__ == "__main__":
    main()
