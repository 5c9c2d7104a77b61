"""Open a map and its truth on one grid of pixels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from samdomain.errors import InputError
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Tiling
from samdomain_geo.evaluation.class_codes import Codes, names_of, number_on_raster
from samdomain_geo.evaluation.labels import LabelSource, RasterLabels, ShapeLabels, on_grid
from samdomain_geo.evaluation.picture import Legend
from samdomain_geo.evaluation.shape_layer import POINT, Asked, ShapeLayer, has_rows, read_shapes
from samdomain_geo.evaluation.sides import Side
from samdomain_geo.polygons.regions import check_labels
from samdomain_geo.scenes.class_names import class_names
from samdomain_geo.scenes.raster import Scene, open_scene

UNKNOWN = "none"
"""Background of which nothing is known, so that it does not count."""


@dataclass(frozen=True)
class RasterRules:
    """How rasters are compared.

    Attributes:
        asked: layer and column of classes, for a side that is a vector file.
        background: class of pixels that no polygon holds, or "none" for an unknown one; None to
            choose: see `open_sides`.
        ignored: a class that does not count on either side.
        tiling: blocks that are read at a time.
    """

    asked: Asked
    background: int | str | None = None
    ignored: int | None = None
    tiling: Tiling = field(default_factory=Tiling)


@dataclass(frozen=True, eq=False)
class RasterSides:
    """A map and its truth on one grid.

    Attributes:
        scene: the raster whose grid it is.
        predicted: classes of the map.
        true: classes of the truth.
        legend: names and colours of the classes.
        inputs: the files, as prediction and truth.
        notes: what a reader of the figures must know.
        counts: rows that were used of a vector file, by its name.
    """

    scene: Scene
    predicted: LabelSource
    true: LabelSource
    legend: Legend
    inputs: Mapping[str, Identity]
    notes: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def open_sides(predicted: Side, true: Side, rules: RasterRules) -> Iterator[RasterSides]:
    """Open both sides; the one that is a raster gives the grid, and of two the prediction.

    Where a vector file has no polygon, a prediction says 0. A truth says 0 too if all its
    polygons are of one class, as buildings are; if there are several classes, or points, it is a
    sample, which says nothing about the rest. `rules.background` decides otherwise.

    Raises:
        InputError: a file cannot be used, or the two do not overlap.
    """
    if not predicted.vector and not true.vector:
        with _two_rasters(predicted, true, rules) as sides:
            yield sides
        return
    vector, raster = (true, predicted) if true.vector else (predicted, true)
    with _open_labels(raster) as scene:
        yield _of_shapes(vector, raster, scene, rules, truth=true.vector)


@contextmanager
def _two_rasters(predicted: Side, true: Side, rules: RasterRules) -> Iterator[RasterSides]:
    asked = rules.asked
    given = {
        "--background": rules.background, "--class-column": asked.column, "--layer": asked.layer
    }  # fmt: skip
    if unfit := [flag for flag, value in given.items() if value is not None]:
        raise InputError(f"{unfit[0]} is about a vector file, but both sides are rasters: omit it")
    with (
        _open_labels(predicted) as scene,
        _open_labels(true) as truth,
        on_grid(truth, scene) as view,
    ):
        moved = "The truth was brought onto the map's grid: each pixel takes the nearest class."
        yield RasterSides(
            scene,
            RasterLabels(scene, rules.ignored),
            RasterLabels(view, rules.ignored),
            Legend(class_names(truth) | class_names(scene), _colours(truth) | _colours(scene)),
            {
                "prediction": Identity.of(predicted.path, scene.dataset.files),
                "truth": Identity.of(true.path, truth.dataset.files),
            },
            _notes(rules) if view is truth else [*_notes(rules), moved],
        )


def _of_shapes(
    vector: Side, raster: Side, scene: Scene, rules: RasterRules, *, truth: bool
) -> RasterSides:
    layer = read_shapes(vector, rules.asked, scene)
    names = class_names(scene)
    codes = number_on_raster(layer, names)
    background = _background(layer, codes, rules, truth=truth)
    shapes = ShapeLabels(layer, codes, scene, background, rules.ignored)
    # A prediction may be that there is nothing.
    if not shapes.any_on(scene) and (truth or len(layer) or has_rows(vector)):
        raise InputError(f"nothing of {vector.path} lies on {scene.path}: do they overlap?")
    pixels = RasterLabels(scene, rules.ignored)
    sides = (pixels, shapes) if truth else (shapes, pixels)
    of_raster, of_vector = Identity.of(raster.path, scene.dataset.files), Identity.of(vector.path)
    identities = (of_raster, of_vector) if truth else (of_vector, of_raster)
    outside = "is not counted" if background is None else f"is class {background}"
    return RasterSides(
        scene,
        *sides,
        Legend(names_of([layer]) | names, _colours(scene)),
        dict(zip(("prediction", "truth"), identities, strict=True)),
        [
            *_notes(rules),
            f"What no shape of {vector.name} holds {outside}; --background says otherwise.",
            *layer.notes(),
        ],
        {vector.name: layer.counts()},
    )


def _background(layer: ShapeLayer, codes: Codes, rules: RasterRules, *, truth: bool) -> int | None:
    if rules.background is not None:
        return None if rules.background == UNKNOWN else int(rules.background)
    points = bool((shapely.get_dimensions(layer.geometries) == POINT).any())
    several = len(np.unique(codes[np.isfinite(codes)])) > 1
    return None if truth and (points or several) else 0


def _notes(rules: RasterRules) -> list[str]:
    return [] if rules.ignored is None else [f"Class {rules.ignored} is not counted."]


@contextmanager
def _open_labels(side: Side) -> Iterator[Scene]:
    with open_scene(side.path, (1,)) as scene:
        check_labels(scene)
        yield scene


def _colours(scene: Scene) -> dict[int, tuple[int, int, int]]:
    """Return the colours that a raster gives its values."""
    try:
        table = scene.dataset.colormap(1)
    except ValueError:
        return {}
    # Values that nobody gave a colour are black.
    return {value: colour[:3] for value, colour in table.items() if any(colour[:3])}
