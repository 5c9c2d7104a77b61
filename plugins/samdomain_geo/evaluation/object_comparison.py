"""Compare predicted with true polygons."""

from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain.metrics.objects import ObjectScores
from samdomain_geo.evaluation.boundaries import BoundaryScores, compare_boundaries
from samdomain_geo.evaluation.class_codes import Codes, number_both
from samdomain_geo.evaluation.metric_plane import MetricPlane
from samdomain_geo.evaluation.object_matches import (
    COCO_THRESHOLDS,
    Overlaps,
    average_precision,
    find_overlaps,
    match,
)
from samdomain_geo.evaluation.shape_layer import SCORE, ShapeLayer
from samdomain_geo.scenes.ellipsoid import Ellipsoid

RIGHT, INVENTED, MISSED = "TP", "FP", "FN"
"""Verdicts: found, and truly there; not truly there; truly there, and not found."""

PREDICTION, TRUTH = "prediction", "truth"


@dataclass(frozen=True)
class ObjectRules:
    """What counts as agreement.

    Attributes:
        iou: smallest IoU at which a prediction is a true polygon.
        tolerance: distance in metres within which a boundary is right.
        by_class: polygons match those of their own class only, and each class has its figures.
    """

    iou: float = 0.5
    tolerance: float = 2.0
    by_class: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise InputError(f"--iou is {self.iou:g}: give a number above 0, at most 1")
        if not 0 < self.tolerance < np.inf:
            raise InputError(f"--tolerance is {self.tolerance:g}: give metres above 0")


@dataclass(frozen=True)
class ObjectFigures:
    """Figures of some polygons, of one class or of all.

    Attributes:
        objects: what was found, invented and missed.
        ap50: average precision at IoU 0.5; NaN without scores or without truth.
        ap: mean of the average precisions at IoU 0.50, 0.55 to 0.95.
        boundary: boundaries within the tolerance.
    """

    objects: ObjectScores
    ap50: float
    ap: float
    boundary: BoundaryScores


@dataclass(frozen=True, eq=False)
class ObjectComparison:
    """How predicted polygons agree with true ones.

    Attributes:
        overall: figures of all polygons; where classes are told apart, polygons match within
            their class, lengths are summed and the APs are means over the truth's classes.
        classes: figures by class, where classes are told apart.
        names: names of classes by number.
        table: all polygons of both sides in the prediction's CRS with the columns side, fid,
            class_id, class_name, score, verdict, match_fid (of the other side), iou (with the
            match, else the best there is) and area_m2.
        beyond: predictions outside the bounds of the truth.
    """

    overall: ObjectFigures
    classes: dict[int, ObjectFigures]
    names: dict[int, str]
    table: gpd.GeoDataFrame
    beyond: int


def compare_objects(
    predicted: ShapeLayer, true: ShapeLayer, rules: ObjectRules
) -> ObjectComparison:
    """Match polygons, and measure how far their boundaries agree.

    Args:
        predicted: predicted polygons.
        true: true polygons, in any CRS.
        rules: what counts as agreement.

    Raises:
        InputError: only one side has a CRS, the sides do not overlap, or their classes cannot
            be compared.
    """
    truth = _brought(true, predicted)
    classes = number_both(predicted, true)
    _check_overlap(predicted, true, truth)
    sides = _Sides.of(predicted, truth, classes[:2])
    overlaps = find_overlaps(sides.predicted, sides.true)
    if rules.by_class:
        # A polygon without a class, whose class is NaN, is the same as none.
        same = sides.codes[0][overlaps.predicted] == sides.codes[1][overlaps.true]
        overlaps = overlaps.where(same)
    pairs = match(overlaps, rules.iou)
    figures = _Figures(sides, overlaps, pairs, rules)
    by_class = (
        {label: figures.of(*sides.of_class(label)) for label in sides.labels()}
        if rules.by_class
        else {}
    )
    overall = _sum(list(by_class.values())) if by_class else figures.of(*sides.whole())
    overall = replace(overall, objects=figures.objects(*sides.whole()))
    table = _table((predicted, true), truth, sides, overlaps, pairs)
    table["class_name"] = table["class_id"].map(classes[2]).astype("string")
    left, bottom, right, top = truth.total_bounds
    inside = predicted.table.cx[left:right, bottom:top] if len(truth) else predicted.table
    return ObjectComparison(overall, by_class, classes[2], table, len(predicted) - len(inside))


@dataclass(frozen=True, eq=False)
class _Sides:
    """Polygons of both sides in one plane, with classes and the predictions' scores."""

    predicted: NDArray[np.object_]
    true: NDArray[np.object_]
    codes: tuple[Codes, Codes]
    scores: NDArray[np.float64] | None

    @classmethod
    def of(
        cls, predicted: ShapeLayer, truth: gpd.GeoSeries, codes: tuple[Codes, Codes]
    ) -> "_Sides":
        both = pd.concat([predicted.table.geometry, truth])
        plane = MetricPlane.around(gpd.GeoSeries(both, crs=predicted.table.crs))
        # A prediction without a score comes after all that have one.
        scores = predicted.table[SCORE].fillna(-np.inf).to_numpy() if predicted.scored else None
        ours, theirs = plane.place(predicted.table.geometry), plane.place(truth)
        return cls(ours, theirs, codes, scores)

    def labels(self) -> list[int]:
        known = np.concatenate(self.codes)
        return np.unique(known[np.isfinite(known)]).astype(int).tolist()

    def whole(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return np.ones(len(self.predicted), bool), np.ones(len(self.true), bool)

    def of_class(self, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.codes[0] == label, self.codes[1] == label


@dataclass(frozen=True, eq=False)
class _Figures:
    """Work out the figures of chosen polygons."""

    sides: _Sides
    overlaps: Overlaps
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
    rules: ObjectRules

    def of(self, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> ObjectFigures:
        """Return the figures of polygons that are chosen on either side."""
        precisions = self._precisions(predicted, true)
        boundary = compare_boundaries(
            self.sides.predicted[predicted], self.sides.true[true], self.rules.tolerance
        )
        return ObjectFigures(
            self.objects(predicted, true),
            precisions[0],
            float(np.mean(precisions)),
            boundary,
        )

    def objects(self, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> ObjectScores:
        """Return how many of the chosen polygons were found, invented and missed."""
        kept = predicted[self.pairs[0]] & true[self.pairs[1]]
        found, ious = int(kept.sum()), _ious(self.overlaps, self.pairs)[kept]
        missed = int(true.sum()) - found
        return ObjectScores(found, int(predicted.sum()) - found, missed, tuple(ious.tolist()))

    def _precisions(self, predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> list[float]:
        if self.sides.scores is None:
            return [float("nan")]
        scores = np.where(predicted, self.sides.scores, np.nan)
        pairs = self.overlaps.where(true[self.overlaps.true])
        return [
            average_precision(pairs, scores, int(true.sum()), threshold)
            for threshold in COCO_THRESHOLDS
        ]


def _brought(true: ShapeLayer, predicted: ShapeLayer) -> gpd.GeoSeries:
    """Return the truth in the prediction's CRS."""
    mine, theirs = predicted.table.crs, true.table.crs
    if (mine is None) != (theirs is None) and len(true) and len(predicted):
        without = predicted if mine is None else true
        raise InputError(
            f"{without.side.path} has no CRS, but the other side has: assign it to the file"
        )
    geometry = true.table.geometry
    if mine is None or theirs is None:
        return geometry if mine is None else geometry.set_crs(mine)
    return geometry.to_crs(mine)


def _check_overlap(predicted: ShapeLayer, true: ShapeLayer, truth: gpd.GeoSeries) -> None:
    if not len(predicted) or not len(true):
        return
    ours, theirs = predicted.table.total_bounds, truth.total_bounds
    if (ours[:2] > theirs[2:]).any() or (theirs[:2] > ours[2:]).any():
        raise InputError(
            f"{predicted.side.path} and {true.side.path} do not overlap: do their CRS and place "
            "agree?"
        )


def _ious(
    overlaps: Overlaps, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> NDArray[np.float64]:
    known = overlaps.predicted * overlaps.shape[1] + overlaps.true
    order = np.argsort(known)
    wanted = pairs[0] * overlaps.shape[1] + pairs[1]
    return overlaps.iou[order[np.searchsorted(known, wanted, sorter=order)]]


def _sum(figures: list[ObjectFigures]) -> ObjectFigures:
    """Return the figures of all classes together."""
    objects, boundary = ObjectScores(), BoundaryScores()
    for one in figures:
        objects, boundary = objects + one.objects, boundary + one.boundary
    return ObjectFigures(
        objects,
        _mean([one.ap50 for one in figures]),
        _mean([one.ap for one in figures]),
        boundary,
    )


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _table(
    layers: tuple[ShapeLayer, ShapeLayer],
    truth: gpd.GeoSeries,
    sides: _Sides,
    overlaps: Overlaps,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> gpd.GeoDataFrame:
    crs = layers[0].table.crs
    parts = []
    ends = (overlaps.predicted, overlaps.true)
    geometries = (layers[0].table.geometry, truth)
    for index, (side, verdict) in enumerate(((PREDICTION, INVENTED), (TRUTH, MISSED))):
        count = len(geometries[index])
        fids = layers[1 - index].table.index.to_numpy()
        best, matched = np.zeros(count), np.zeros(count, bool)
        np.maximum.at(best, ends[index], overlaps.iou)
        best[pairs[index]] = _ious(overlaps, pairs)
        matched[pairs[index]] = True
        other = np.full(count, -1, np.int64)
        other[pairs[index]] = fids[pairs[1 - index]]
        columns = {
            "side": side,
            "fid": layers[index].table.index.to_numpy(),
            "class_id": pd.array(sides.codes[index], dtype="Float64").astype("Int64"),
            "score": layers[index].table[SCORE].to_numpy(),
            "verdict": np.where(matched, RIGHT, verdict),
            "match_fid": pd.array(np.where(matched, other, 0), dtype="Int64"),
            "iou": best,
        }
        frame = pd.DataFrame(columns)
        frame.loc[~matched, "match_fid"] = pd.NA
        parts.append(gpd.GeoDataFrame(frame, geometry=geometries[index].array, crs=crs))
    table = gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=crs)
    ellipsoid = Ellipsoid.of(crs)
    areas = None if ellipsoid is None else ellipsoid.measure(table.geometry)[0]
    return table.assign(area_m2=areas)
