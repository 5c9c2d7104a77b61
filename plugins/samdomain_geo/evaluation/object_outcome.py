"""Tell how predicted polygons agree with true ones: as JSON, as tables, and as files."""

import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio

from samdomain.html_report import Section, Table, share
from samdomain.metrics.objects import ObjectScores
from samdomain_geo.evaluation.adjusted_area import number
from samdomain_geo.evaluation.object_comparison import (
    RIGHT,
    TRUTH,
    ObjectComparison,
    ObjectFigures,
    ObjectRules,
)
from samdomain_geo.evaluation.object_pictures import VERDICT_COLOURS, WORDS
from samdomain_geo.results.style import Rule, embed_style, qml_of

_LAYER = "errors"


class ObjectOutcome:
    """The figures of a comparison of polygons."""

    def __init__(self, comparison: ObjectComparison, rules: ObjectRules) -> None:
        """Take what was compared.

        Args:
            comparison: what was found.
            rules: what counted as agreement.
        """
        self.comparison, self._rules = comparison, rules

    @property
    def headline(self) -> dict[str, float | None]:
        """The figures that a person wants first."""
        figures = _figures(self.comparison.overall)
        names = ("precision", "recall", "f1", "ap50", "ap", "boundary_f1")
        return {name: figures[name] for name in names}

    def metrics(self) -> dict[str, Any]:
        """Return all figures, as JSON holds them; null is what cannot be told."""
        names = self.comparison.names
        return {
            "kind": "polygons",
            "iou_threshold": self._rules.iou,
            "tolerance_m": self._rules.tolerance,
            "matched_within_classes": self._rules.by_class,
            "predictions_beyond_truth": self.comparison.beyond,
            "overall": _figures(self.comparison.overall),
            "classes": {
                str(label): {"name": names.get(label), **_figures(figures)}
                for label, figures in self.comparison.classes.items()
            },
        }

    def sections(self) -> list[Section]:
        """Return the tables of a report."""
        rules, names = self._rules, self.comparison.names
        head = ("", "found", "invented", "missed", "precision", "recall", "F1", "mean IoU")
        head = (*head, "AP50", "AP", "boundary F1")
        rows = [_row("all", self.comparison.overall)]
        for label, figures in self.comparison.classes.items():
            name = f"{label} {names[label]}" if label in names else str(label)
            rows.append(_row(name, figures))
        within = "of the same class " if rules.by_class else "of any class "
        text = (
            f"A predicted and a true polygon {within}match, one to one, where their IoU is "
            f"{rules.iou:g} or more; as many match as can. Mean IoU is that of the matches.",
            "AP50 is the average precision at IoU 0.5 as COCO defines it, matched in the order of "
            "the scores, AP its mean over IoU 0.50, 0.55 to 0.95; both need a column score.",
            f"Boundary F1 weighs the shares of either side's boundary that lie within "
            f"{rules.tolerance:g} m of the other's.",
        )
        return [Section("Agreement", text, Table(head, rows))]

    def write_table(self, path: Path) -> None:
        """Write all polygons of both sides with their verdict and their match, as CSV."""
        table = self.comparison.table
        columns = ["side", "fid", "class_id", "class_name", "score", "verdict", "match_fid", "iou"]
        table[[*columns, "area_m2"]].to_csv(path, index=False, float_format="%.6g")

    def write_errors(self, path: Path, when: datetime) -> None:
        """Write a GeoPackage, and its style beside and in it: predictions, and what they miss.

        Args:
            path: file to write.
            when: time that the file carries.
        """
        table = self.comparison.table
        # A true polygon that was found stands there as the prediction that found it.
        shown = table[~((table["side"] == TRUTH) & (table["verdict"] == RIGHT))]
        columns = ["verdict", "side", "class_id", "class_name", "score", "iou", "area_m2"]
        # A GeoPackage has a column fid of its own.
        shown = shown.assign(source_fid=shown["fid"])
        shown = shown[[*columns, "source_fid", "match_fid", "geometry"]]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
            pyogrio.write_dataframe(
                shown, path, driver="GPKG", layer=_LAYER, geometry_type="MultiPolygon"
            )
        rules = [
            Rule(WORDS[verdict], colour, f"\"verdict\" = '{verdict}'")
            for verdict, colour in VERDICT_COLOURS.items()
        ]
        qml = qml_of(rules)
        path.with_suffix(".qml").write_text(qml, encoding="utf-8")
        embed_style(path, _LAYER, qml, when)


def _figures(figures: ObjectFigures) -> dict[str, Any]:
    objects, boundary = figures.objects, figures.boundary
    precision, recall, f1 = _shares(objects)
    return {
        "found": objects.found,
        "invented": objects.invented,
        "missed": objects.missed,
        "precision": number(precision),
        "recall": number(recall),
        "f1": number(f1),
        "mean_iou_of_matches": number(_mean_iou(figures)),
        "ap50": number(figures.ap50),
        "ap": number(figures.ap),
        "boundary_precision": number(boundary.precision),
        "boundary_recall": number(boundary.recall),
        "boundary_f1": number(boundary.f1),
        "predicted_boundary_m": boundary.predicted,
        "true_boundary_m": boundary.true,
    }


def _row(name: str, figures: ObjectFigures) -> list[str]:
    objects = figures.objects
    counts = [f"{count:,}" for count in (objects.found, objects.invented, objects.missed)]
    shares = (
        *_shares(objects),
        _mean_iou(figures),
        figures.ap50,
        figures.ap,
        figures.boundary.f1,
    )
    return [name, *counts, *map(share, shares)]


def _shares(objects: ObjectScores) -> tuple[float, float, float]:
    """Return precision, recall and F1; NaN, and not 1, where there is nothing to judge."""
    predicted, true = objects.found + objects.invented, objects.found + objects.missed
    return (
        objects.precision if predicted else float("nan"),
        objects.recall if true else float("nan"),
        objects.f1 if predicted + true else float("nan"),
    )


def _mean_iou(figures: ObjectFigures) -> float:
    ious = figures.objects.ious
    return float(np.mean(ious)) if ious else float("nan")
