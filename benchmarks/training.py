"""Train the recipes on real data, and measure them on images that training and choice never saw.

    python benchmarks/training.py [CELL ...]     as polyp-recommended-0; all missing by default

polyp-zero, -null-S, -recommended-S, -paper-S: polyps of Kvasir-SEG without prompts, by the base as
it is, by the null prompt alone, and by two presets of `sam_sp`, all of whose marks count;
polyp-shipped: by the adapter that ships, which finds nothing where it is not sure. plates-zero,
-N-S, -all-S: licence plates by `samlp`, trained on N European images and tested on American ones;
true boxes as prompts are measured beside. points-zero, -S: clicks on buildings (Nepal) and on
nuclei (DSB-2018) by `sam`, each test apart. S is the seed.

Configs are those that ship; what a cell changes in one stands in its JSON. A training that was cut
off goes on where its last epoch ended: its folder is in benchmarks/runs, which is not committed.
Epochs are chosen on validation; all figures are of the test but those called `val`. `seconds` are
wall seconds of this machine, and of the last start alone where a training was cut off. They hold
the first pass through the frozen encoder, unless an earlier cell has left what it gave: `kept` says
how many images and views were there. `cpu_seconds` are those of the last start on all cores: next
to none where its test alone was repeated.
Trainings compute in bf16 where the processor has it, figures of the test in fp32.
"""

import csv
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import rasterio
from grid import precision, run_grid
from rasterio.windows import Window
from real_data import FOLDER

from samdomain.cache import features_folder
from samdomain.recipes import Promptable, Recipe, SamLP
from samdomain.sam import SamLike
from samdomain.sam.spec import PROMPT_KINDS
from samdomain.training.command import Command, checkpoints
from samdomain.training.evaluation import Row, evaluate
from samdomain.training.fit import fit
from samdomain.training.model import BASE, adapted
from samdomain.training.sample import Sample
from samdomain.whole_file import whole_file

RUNS = Path(__file__).parent / "runs"
SEEDS = (0, 1, 2)
SHOTS = (5, 10, 50)
EPOCHS = {"5": (60, 5), "10": (40, 4), "50": (20, 2), "all": (18, 1)}  # and between validations
TILE = 512  # pixels of a side of Nepal's tiles

Result = dict[str, Any]
Measure = Callable[[Recipe, SamLike, Sequence[Sample]], Result]


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    run_grid("training", {**polyps(), **plates(), **points()})


def polyps() -> dict[str, Callable[[], Result]]:
    """Return the cells of polyps."""
    shipped = ("--config=polyp", f"--data.folder={FOLDER / 'kvasir-seg'}")
    # Recipes are compared by all that they mark; what ships has to be sure of something.
    words = (*shipped, "--model.recipe.options={}")
    changes = {
        "null-0": ('--model.recipe.options={"rounds": 0, "first": 0.0, "alpha": 0.0}',),
        # What an hour is enough for: it trains the whole encoder, so that nothing is kept.
        "paper-0": ("--model.recipe.preset=paper", "--trainer.max_epochs=1"),
    } | {f"recommended-{seed}": () for seed in SEEDS}
    untrained = {
        "polyp-zero": partial(base, words, means),
        "polyp-shipped": partial(as_shipped, shipped, "polyp"),
    }
    return untrained | {
        f"polyp-{name}": partial(trained, f"polyp-{name}", words, some, means)
        for name, some in changes.items()
    }


def plates() -> dict[str, Callable[[], Result]]:
    """Return the cells of licence plates."""
    words = ("--config=plates", f"--data.folder={RUNS / 'plates'}")
    # The fewer images, the more epochs, and the less is an epoch worth looking at.
    passes = {
        name: (f"--trainer.max_epochs={epochs}", f"--trainer.check_val_every_n_epoch={every}")
        for name, (epochs, every) in EPOCHS.items()
    }
    changes = {
        f"{n}-{seed}": (f"--data.limit={n}", *passes[str(n)]) for n in SHOTS for seed in SEEDS
    }
    changes |= {f"all-{seed}": passes["all"] for seed in SEEDS}

    cells = {"plates-zero": partial(base, words, means)} | {
        f"plates-{name}": partial(by_stages, f"plates-{name}", words, some)
        for name, some in changes.items()
    }
    lay = partial(write_plates, FOLDER / "plates", RUNS / "plates")
    return {name: partial(laid_out, lay, cell) for name, cell in cells.items()}


def points() -> dict[str, Callable[[], Result]]:
    """Return the cells of clicks."""
    words = ("--config=points", f"--data.folder={RUNS / 'points'}")

    cells = {"points-zero": partial(untaught, words)} | {
        f"points-{seed}": partial(trained, f"points-{seed}", words, (), by_source) for seed in SEEDS
    }
    lay = partial(write_points, FOLDER, RUNS / "points")
    return {name: partial(laid_out, lay, cell) for name, cell in cells.items()}


def laid_out(lay: Callable[[], None], cell: Callable[[], Result]) -> Result:
    """Lay data out as their config wants them, and measure a cell on them.

    Cells may run beside each other: a file is written whole, or stays as it is.
    """
    lay()
    return cell()


def base(words: Sequence[str], measure: Measure) -> Result:
    """Measure the weights as they are."""
    model = adapted(Command("test", words), BASE)
    return {"test": measure(model.recipe, model.sam, model.data.found("test").samples)}


def as_shipped(words: Sequence[str], adapter: str) -> Result:
    """Measure an adapter as it ships."""
    model = adapted(Command("test", words), adapter)
    return {
        split: means(model.recipe, model.sam, model.data.found(split).samples)
        for split in ("val", "test")
    }


def untaught(words: Sequence[str]) -> Result:
    """Measure the weights as they are also by clicks, which they never saw."""
    model = adapted(Command("test", words), BASE)
    model.sam.spec = replace(model.sam.spec, prompts=PROMPT_KINDS)
    return {"test": by_source(model.recipe, model.sam, model.data.found("test").samples)}


def trained(name: str, words: Sequence[str], changes: Sequence[str], measure: Measure) -> Result:
    """Train an adapter, or go on training it, and measure it."""
    folder, seed = RUNS / name, name.rpartition("-")[2]
    began = time.process_time()
    kept = sum(1 for _ in features_folder().glob("*/*"))
    more = ["--resume"] if folder.exists() else []
    flags = [*words, *changes, f"--seeds={seed}", f"--out={folder}", "--half", *more]
    flags.append(f"--trainer.precision={precision()}")
    told = dict(fit(flags).summary())
    model = adapted(Command("test", [f"--config={folder}"]), folder / "adapter")
    files = (folder / "adapter").iterdir()
    return {
        "changes": list(changes),
        "val": rounded(told.pop("val")),
        **{key: told[key] for key in ("trained values", "epochs", "seconds")},
        "cpu_seconds": round(time.process_time() - began, 1),
        "kept": kept,
        "adapter_bytes": sum(path.stat().st_size for path in files),
        "test": measure(model.recipe, model.sam, model.data.found("test").samples),
    }


def by_stages(name: str, words: Sequence[str], changes: Sequence[str]) -> Result:
    """Train a detector and measure it, also as its first stage left it."""
    result = trained(name, words, changes, means)
    built = Command("test", [f"--config={RUNS / name}"]).build(0)
    built.module.start(0)
    built.module.load_stage(checkpoints(RUNS / name, 0) / "best.ckpt")
    built.module.finish()
    recipe = built.module.recipe
    if not isinstance(recipe, SamLP):
        raise TypeError(f"{name} is no training of SamLP")
    plain, samples = replace(recipe, refinement=None), built.data.found("test").samples
    return result | {"test_after_stage_1": means(plain, built.module.view(), samples)}


def means(recipe: Recipe, sam: SamLike, samples: Sequence[Sample]) -> Result:
    """Return the mean of each figure."""
    return rounded(evaluate(recipe, sam, samples).means())


def by_source(recipe: Recipe, sam: SamLike, samples: Sequence[Sample]) -> Result:
    """Return the mean of each figure over objects of each source, up to 16 an image.

    A fixed seed says which: each is decoded six times.
    """
    if not isinstance(recipe, Promptable):
        raise TypeError("clicks are measured of the recipe `sam`")
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in evaluate(replace(recipe, objects=16), sam, samples).rows:
        rows[row["image"].partition("/")[0]].append(row)
    return {source: {"objects": len(own), **rounded(_means(own))} for source, own in rows.items()}


def _means(rows: Iterable[Row]) -> dict[str, float]:
    return {name: fmean(row[name] for row in rows) for name in ("one_click", "five_clicks", "box")}


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Return figures as they are told."""
    return {name: round(value, 4) for name, value in figures.items()}


def write_plates(data: Path, folder: Path) -> None:
    """Lay the plates out as the config wants them: COCO files beside the images."""
    folder.mkdir(parents=True, exist_ok=True)
    for region in ("eu", "us"):
        link_to(data / region, folder / region)
    boxes = {one["file"]: one for one in json.loads((data / "boxes.json").read_text())}
    splits: defaultdict[str, list[str]] = defaultdict(list)
    with (data / "splits.csv").open() as lines:
        for row in csv.DictReader(lines):
            splits[row["split"]].append(row["file"])
    for split, files in splits.items():
        images = [
            {"id": i, "file_name": file, **{k: boxes[file][k] for k in ("width", "height")}}
            for i, file in enumerate(files)
        ]
        annotations = [
            {"id": i, "image_id": i, "category_id": 1, "bbox": boxes[file]["box_xywh"]}
            for i, file in enumerate(files)
        ]
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "plate"}],
        }
        with whole_file(folder / f"{split}.json") as scratch:
            scratch.write_text(json.dumps(content))


def write_points(data: Path, folder: Path) -> None:
    """Lay buildings and nuclei out as the config wants them: Nepal's tiles get their places.

    They are cut from the mosaic again: the tiles themselves do not say where they lie.
    """
    nepal = data / "nepal"
    tiles = folder / "nepal" / "tiles"
    tiles.mkdir(parents=True, exist_ok=True)
    link_to(data / "dsb2018", folder / "dsb2018")
    for name in ("buildings.geojson", "splits.csv"):
        link_to(nepal / name, folder / "nepal" / name)
    names = sorted(path.name for path in (nepal / "tiles").iterdir())
    places = [tuple(int(part) for part in name.split("-")[1:3]) for name in names]
    west, north = (min(numbers) for numbers in zip(*places, strict=True))
    with rasterio.open(nepal / "mosaic.tif") as mosaic:
        for name, (x, y) in zip(names, places, strict=True):
            if not (tiles / name).exists():
                window = Window(TILE * (x - west), TILE * (y - north), TILE, TILE)
                write_tile(mosaic, window, tiles / name)


def write_tile(mosaic: rasterio.DatasetReader, window: Window, path: Path) -> None:
    """Cut a window out of a mosaic, without loss."""
    profile = {
        "driver": "GTiff",
        "compress": "deflate",
        "width": window.width,
        "height": window.height,
        "count": mosaic.count,
        "dtype": mosaic.dtypes[0],
        "crs": mosaic.crs,
        "transform": mosaic.window_transform(window),
    }
    with whole_file(path) as scratch, rasterio.open(scratch, "w", **profile) as tile:
        tile.write(mosaic.read(window=window))


def link_to(source: Path, link: Path) -> None:
    """Let a link stand for a file or folder of the data, unless it does."""
    if not (link.is_symlink() and link.resolve() == source.resolve()):
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())


if __name__ == "__main__":
    main()
