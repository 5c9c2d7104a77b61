"""`samdomain init`: write the training config for a scene and a vector file of labels."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml

from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain.whole_file import whole_file
from samdomain_geo.classes.class_network import SMALLEST
from samdomain_geo.data.labels import Labels, Unlabelled
from samdomain_geo.data.scene_source import BLOCKS, SceneSource
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene, open_scene, parse_bands

# A chip is so large that an object of the usual size is about this many pixels wide in the
# model's input, within these bounds.
_SEEN = 24
_CHIPS = (128, 256, 384, 512, 768, 1024)

_STEPS = 2000  # chips that training looks at: about a quarter of an hour on two cores
_EPOCHS = (4, 40)
_BLOCKS = 10  # that are shared out at least, where there are so many chips
_RGB = 3


def init(  # noqa: PLR0913 - a verb's parameters are its flags
    *,
    scene: Path,
    labels: Path,
    out: Path = Path("scene.yaml"),
    class_column: str | None = None,
    classes: Sequence[str] = (),
    layer: str | None = None,
    where: str | None = None,
    unlabelled: Unlabelled = "background",
    split: str = BLOCKS,
    size: int | None = None,
    bands: str | None = None,
    weights: str = "litemedsam",
    input_size: int | None = None,
    fit: bool = False,
    overwrite: bool = False,
) -> Facts:
    """Write a training config for a scene and a vector file of labels, to be looked at and changed.

    What it chooses it says in the file: the side of chips follows from the size of the labelled
    objects, the number of epochs from the number of chips. Then

        samdomain fit --config scene.yaml

    trains the adapter that `samdomain segment --adapter runs/scene/adapter` takes.

    Args:
        scene: raster, anything that GDAL reads.
        labels: vector file of polygons, in any CRS.
        out: config to write.
        class_column: column of the classes; without one all polygons are of one class.
        classes: names of the classes in their order; by default those in the column, sorted.
        layer: layer of the labels, where their file has several.
        where: take only labels that meet this condition, in OGR's SQL: "kind IS NOT NULL".
        unlabelled: what pixels in no polygon are: "background" where all that is there was
            drawn, "ignore" where only some of it was.
        split: "blocks", or a vector file of areas whose column `split` says train, val or test;
            where none says val, validation is taken from those that say train.
        size: side of a chip in pixels.
        bands: bands that the model gets, counted from 1, as "4,3,2"; by default red, green and
            blue.
        weights: base to train on.
        input_size: side of the model's input in pixels; that of the weights by default.
        fit: train at once.
        overwrite: replace a config that stands there.

    Raises:
        InputError: an input cannot be read, or there is nothing to train on.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists: give another --out, or --overwrite")
    if size is not None and size < SMALLEST:
        raise InputError(f"--size is {size}: give {SMALLEST} pixels or more")
    described = Labels(Path(labels), class_column, tuple(classes), unlabelled, layer, where)
    with open_scene(scene, parse_bands(bands)) as opened:
        if len(opened.bands) < _RGB:
            raise InputError(
                f"--bands names {len(opened.bands)}, but a model takes {_RGB} or more: name one "
                f"several times, as {','.join([str(opened.bands[0])] * _RGB)}"
            )
        found = _look(opened, described)
    source = SceneSource(
        (str(Path(scene).resolve()),),
        str(Path(labels).resolve()),
        class_column,
        tuple(classes),
        unlabelled,
        layer,
        where,
        split=split if split == BLOCKS else str(Path(split).resolve()),
        size=size or found.chip,
        bands=bands,
        block=found.block(size or found.chip),
    )
    chips = {one: len(source.find(Path(), one).samples) for one in ("train", "val", "test")}
    names = source.named(Path()).names()
    epochs = min(max(_EPOCHS[0], math.ceil(_STEPS / chips["train"])), _EPOCHS[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    text = _config(source, names, found, epochs, {"weights": weights, "input_size": input_size})
    with whole_file(out) as scratch:
        scratch.write_text(text, encoding="utf-8")
    told: dict[str, Any] = {
        "config": str(out),
        "classes": ", ".join(names),
        "chips": chips,
        "pixel size in m": found.pixel,
        "then": f"samdomain fit --config {out}",
    }
    if fit:
        from samdomain.training.verbs import fit as train  # noqa: PLC0415 - an extra

        told |= {
            "then": "samdomain segment SCENE --adapter",
            **train(["--config", str(out)]).summary(),
        }
    return Facts(told)


@dataclass(frozen=True)
class _Found:
    """What a look at scene and labels tells."""

    chip: int
    pixel: float | None
    shape: tuple[int, int]
    bands: int
    polygons: Counter[str]

    def block(self, chip: int) -> int:
        """Return how many chips a block has each way: so many that enough blocks are left."""
        rows, columns = (math.ceil(side / chip) for side in self.shape)
        sizes = [n for n in (4, 2) if math.ceil(rows / n) * math.ceil(columns / n) >= _BLOCKS]
        return max(sizes, default=1)


def _look(scene: Scene, labels: Labels) -> _Found:
    placed, names = labels.over(scene), labels.names()
    if not len(placed.shapes):
        raise InputError(
            f"no polygon of {labels.path} lies near {scene.path}: do their CRS and place agree?"
        )
    widths = np.sqrt(shapely.area(placed.shapes))
    wanted = float(np.median(widths)) * 256 / _SEEN  # of an input of 256 pixels
    chip = min(_CHIPS, key=lambda side: abs(math.log(side / max(1.0, wanted))))
    ellipsoid = Ellipsoid.of(scene.crs)
    return _Found(
        chip=chip,
        pixel=None if ellipsoid is None else round(pixel_width(scene, ellipsoid), 4),
        shape=(scene.rows, scene.columns),
        bands=len(scene.bands),
        polygons=Counter(names[index] for index in placed.classes.tolist()),
    )


def _config(
    source: SceneSource,
    names: tuple[str, ...],
    found: _Found,
    epochs: int,
    base: dict[str, Any],
) -> str:
    options: dict[str, Any] = {"classes": list(names)}
    if found.bands != _RGB:
        options |= {"bands": found.bands, "rgb": list(range(min(_RGB, found.bands)))}
    values = {
        "model": {
            "recipe": {"name": "samed", "preset": "pyramid", "options": options},
            "base": {name: one for name, one in base.items() if one is not None},
            "card": {
                "summary": f"Names {', '.join(names)} in scenes.",
                "data": [{"name": Path(source.scenes[0]).name, "licence": "unknown"}],
            },
        },
        "data": {
            "folder": ".",
            "source": {
                "class_path": "samdomain_geo.data.SceneSource",
                "init_args": _arguments(source),
            },
            "batch_size": 4,
            "views": 4,
        },
        "trainer": {"max_epochs": epochs, "gradient_clip_val": 1.0},
        "stopping": {"patience": max(5, epochs // 4)},
    }
    polygons = ", ".join(f"{number} {name}" for name, number in found.polygons.most_common())
    pixel = "unknown, the scene has no CRS" if found.pixel is None else f"{found.pixel} m"
    head = (
        f"# Names {', '.join(names)} in scenes like {Path(source.scenes[0]).name}.",
        "#",
        "#     samdomain fit --config THIS_FILE",
        "#     samdomain segment SCENE --adapter runs/THIS_NAME/adapter --out DIR",
        "#",
        f"# Polygons: {polygons}. Pixels: {pixel}.",
        f"# Chips of {source.size} pixels: in the model's input an object is some {_SEEN} pixels "
        "wide.",
        "# Name the licence of the data under card before you give the adapter away.",
    )
    return "\n".join(head) + "\n" + yaml.safe_dump(values, sort_keys=False)


def _arguments(source: SceneSource) -> dict[str, Any]:
    """Return the fields that differ from their defaults, and those that users change."""
    plain = SceneSource(source.scenes, source.labels)
    shown = {"scenes", "labels", "unlabelled", "size", "split", "block"}
    return {
        name: list(one) if isinstance(one, tuple) else one
        for name, one in vars(source).items()
        if name in shown or one != getattr(plain, name)
    }
