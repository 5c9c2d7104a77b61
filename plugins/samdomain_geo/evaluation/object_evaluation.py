"""Evaluate predicted polygons against true ones."""

from datetime import datetime

from samdomain_geo.evaluation.object_comparison import ObjectRules, compare_objects
from samdomain_geo.evaluation.object_outcome import ObjectOutcome
from samdomain_geo.evaluation.object_pictures import draw_objects
from samdomain_geo.evaluation.result import METRICS, REPORT, Result
from samdomain_geo.evaluation.shape_layer import Asked, read_shapes
from samdomain_geo.evaluation.sides import Side
from samdomain_geo.identity import Identity
from samdomain_geo.output import Output
from samdomain_geo.plan import now

_ERRORS, _STYLE, _TABLE = "errors.gpkg", "errors.qml", "objects.csv"

OBJECT_FILES = (_ERRORS, _STYLE, _TABLE, REPORT, METRICS)
"""Names of the files; the last one proves the others."""


def evaluate_objects(
    predicted: Side, true: Side, asked: Asked, rules: ObjectRules, output: Output
) -> Result:
    """Match polygons one by one, and write the polygons with their verdicts.

    Args:
        predicted: file of the predictions.
        true: file of the truth.
        asked: layer of the truth, and column of the classes.
        rules: what counts as agreement.
        output: where the files go.

    Raises:
        InputError: a file cannot be used, or the sides do not overlap.
    """
    # A layer or column is the truth's: predictions of ours have names of their own.
    found = read_shapes(predicted, Asked(asked.column, strict=False))
    truth = read_shapes(true, asked)
    comparison = compare_objects(found, truth, rules)
    outcome = ObjectOutcome(comparison, rules)
    outcome.write_table(output.path(_TABLE))
    outcome.write_errors(output.path(_ERRORS), datetime.fromisoformat(now()))
    notes = [*found.notes(), *truth.notes()]
    if comparison.beyond:
        notes.append(
            f"Predictions outside the bounds of the truth: {comparison.beyond:,}; they count as "
            "invented. Cut the predictions to where the truth was mapped if it is not complete."
        )
    return Result(
        outcome,
        draw_objects(comparison.table),
        notes,
        {"prediction": found.counts(), "truth": truth.counts()},
        {"prediction": Identity.of(predicted.path), "truth": Identity.of(true.path)},
    )
