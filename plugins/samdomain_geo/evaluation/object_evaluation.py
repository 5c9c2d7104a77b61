"""Evaluate predicted polygons against true ones."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import now
from samdomain_geo.evaluation.area import cut, read_area
from samdomain_geo.evaluation.object_comparison import ObjectRules, compare_objects
from samdomain_geo.evaluation.object_outcome import ObjectOutcome
from samdomain_geo.evaluation.object_pictures import draw_objects
from samdomain_geo.evaluation.result import METRICS, REPORT, Result
from samdomain_geo.evaluation.shape_layer import Asked, read_shapes
from samdomain_geo.evaluation.sides import Side
from samdomain_geo.results.output import Output

_ERRORS, _STYLE, _TABLE = "errors.gpkg", "errors.qml", "objects.csv"

OBJECT_FILES = (_ERRORS, _STYLE, _TABLE, REPORT, METRICS)
"""Names of the files; the last one proves the others."""


@dataclass(frozen=True)
class ObjectsAsked:
    """Which polygons are compared.

    Attributes:
        shapes: layer of the truth, and column of the classes.
        area: file whose polygons, or whose extent, both sides are cut to.
    """

    shapes: Asked
    area: str | Path | None = None


def evaluate_objects(
    predicted: Side, true: Side, asked: ObjectsAsked, rules: ObjectRules, output: Output
) -> Result:
    """Match polygons one by one, and write the polygons with their verdicts.

    Args:
        predicted: file of the predictions.
        true: file of the truth.
        asked: which polygons of the files are compared.
        rules: what counts as agreement.
        output: where the files go.

    Raises:
        InputError: a file cannot be used, or the sides do not overlap.
    """
    # A layer or column is the truth's: predictions of ours have names of their own.
    found = read_shapes(predicted, Asked(asked.shapes.column, strict=False))
    truth = read_shapes(true, asked.shapes)
    if asked.area is not None:
        area = read_area(asked.area)
        found, truth = cut(found, area), cut(truth, area)
    comparison = compare_objects(found, truth, rules)
    outcome = ObjectOutcome(comparison, rules)
    outcome.write_table(output.path(_TABLE))
    outcome.write_errors(output.path(_ERRORS), datetime.fromisoformat(now()))
    notes = [*found.notes(), *truth.notes()]
    if comparison.beyond:
        notes.append(
            f"Predictions outside the bounds of the truth: {comparison.beyond:,}; they count as "
            "invented. If the truth was not mapped there, name the area where it was with --area."
        )
    return Result(
        outcome,
        draw_objects(comparison.table),
        notes,
        {"prediction": found.counts(), "truth": truth.counts()},
        {"prediction": Identity.of(predicted.path), "truth": Identity.of(true.path)},
    )
