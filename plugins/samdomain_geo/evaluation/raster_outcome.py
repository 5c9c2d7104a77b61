"""Tell how a map agrees with its truth: as JSON, as tables, and in words."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from samdomain.html_report import Section, Table, amount, share
from samdomain_geo.evaluation.adjusted_area import Estimate, adjust_area, number
from samdomain_geo.evaluation.picture import Legend
from samdomain_geo.evaluation.raster_comparison import RasterComparison

_HECTARE = 10_000.0  # square metres

# A larger table is read in a spreadsheet.
_MOST_COLUMNS = 16

_METHOD = (
    "Stratified estimators of Olofsson et al. 2014 (Remote Sensing of Environment 148): the map's "
    "classes are the strata, weighted by their area on the whole map."
)
_CENSUS = (
    "Every pixel of the map was compared, so that the adjusted areas are the truth's own. Their "
    "errors are those that a random sample of as many independent pixels would have; neighbouring "
    "pixels are not independent, so do not take them for the uncertainty of the truth."
)
_SAMPLE = (
    "The truth covers a part of the map. The estimates hold for the whole map where that part was "
    "drawn at random within the map's classes; the errors count each compared pixel as one "
    "independent sample, and are too small where pixels lie side by side in polygons."
)
_UNSAMPLED = (
    "{:.1%} of the map is in classes of which no pixel was compared: the estimates leave them out."
)


class RasterOutcome:
    """The figures of a comparison of rasters."""

    def __init__(self, comparison: RasterComparison, legend: Legend) -> None:
        """Work out the figures.

        Args:
            comparison: what was counted.
            legend: names of the classes.
        """
        self.comparison, self._legend = comparison, legend
        self._confusion = comparison.confusion
        known = comparison.area_m2 is not None and bool(comparison.area_m2.any())
        self._area = comparison.area_m2 if known else None
        sizes = comparison.mapped.astype(np.float64) if self._area is None else self._area
        self._adjusted = adjust_area(self._confusion, sizes)

    @property
    def headline(self) -> dict[str, float | None]:
        """The figures that a person wants first."""
        return {
            "overall_accuracy": number(self._confusion.overall_accuracy),
            "mean_iou": number(_mean(self._confusion.iou)),
            "macro_f1": number(_mean(self._confusion.f1)),
            "area_adjusted_accuracy": number(float(self._adjusted.overall.value)),
        }

    def metrics(self) -> dict[str, Any]:
        """Return all figures, as JSON holds them; null is what cannot be told."""
        confusion = self._confusion
        columns = {
            "iou": confusion.iou,
            "f1": confusion.f1,
            "precision": confusion.precision,
            "recall": confusion.recall,
        }
        classes = {
            str(label): {
                "name": self._legend.names.get(label),
                **{name: number(column[index]) for name, column in columns.items()},
                "true_pixels": int(confusion.true[index]),
                "predicted_pixels": int(confusion.predicted[index]),
                "map_pixels": int(self.comparison.mapped[index]),
            }
            for index, label in enumerate(confusion.classes)
        }
        return {
            "kind": "raster",
            "compared_pixels": confusion.total,
            "map_pixels": int(self.comparison.mapped.sum()),
            "overall": self.headline,
            "classes": classes,
            "confusion": {
                "rows": "truth",
                "columns": "prediction",
                "classes": list(confusion.classes),
                "pixels": confusion.pixels.tolist(),
            },
            "area_adjusted": self._area_metrics(),
        }

    def sections(self) -> list[Section]:
        """Return the tables of a report."""
        return [self._overall(), self._classes(), self._matrix(), self._areas()]

    def write_confusion(self, path: Path) -> None:
        """Write the confusion matrix as CSV: rows are the truth, columns the map."""
        names = [self._legend.name(label) for label in self._confusion.classes]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["truth \\ prediction", *names])
            for name, row in zip(names, self._confusion.pixels.tolist(), strict=True):
                writer.writerow([name, *row])

    def _area_metrics(self) -> dict[str, Any]:
        adjusted, whole = self._adjusted, self._whole_area()
        areas = Estimate(adjusted.shares.value * whole, adjusted.shares.error * whole)
        mapped = np.full(len(self._confusion.classes), np.nan) if self._area is None else self._area
        classes = {
            str(label): {
                "mapped_area_m2": number(mapped[index]),
                "area_m2": _estimate(areas, index),
                "share": _estimate(adjusted.shares, index),
                "users_accuracy": _estimate(adjusted.users, index),
                "producers_accuracy": _estimate(adjusted.producers, index),
            }
            for index, label in enumerate(self._confusion.classes)
        }
        return {
            "method": _METHOD,
            "note": self._note(),
            "unsampled_share": adjusted.unsampled,
            "overall_accuracy": _estimate(adjusted.overall, ()),
            "classes": classes,
        }

    def _whole_area(self) -> float:
        """Return the area that the estimates are of; NaN where it is not known."""
        if self._area is None:
            return float("nan")
        return float(self._area.sum()) * (1 - self._adjusted.unsampled)

    def _note(self) -> str:
        note = _CENSUS if self.comparison.whole else _SAMPLE
        left_out = self._adjusted.unsampled
        return f"{note} {_UNSAMPLED.format(left_out)}" if left_out > 0 else note

    def _overall(self) -> Section:
        confusion, total = self._confusion, int(self.comparison.mapped.sum())
        compared = f"{confusion.total:,} of {total:,} ({100 * confusion.total / total:.3g}%)"
        adjusted = self._adjusted.overall
        rows = [
            ["overall accuracy", share(confusion.overall_accuracy)],
            ["mean IoU", share(_mean(confusion.iou))],
            ["macro F1", share(_mean(confusion.f1))],
            ["area-adjusted overall accuracy", _with_margin(adjusted, (), share)],
            ["compared pixels", compared],
        ]
        text = "Means are over all classes that either side has among the compared pixels."
        return Section("Agreement", (text,), Table(("figure", "value"), rows))

    def _classes(self) -> Section:
        confusion = self._confusion
        rows = [
            [
                self._legend.name(label),
                share(confusion.iou[index]),
                share(confusion.f1[index]),
                share(confusion.precision[index]),
                share(confusion.recall[index]),
                f"{confusion.true[index]:,}",
                f"{confusion.predicted[index]:,}",
            ]
            for index, label in enumerate(confusion.classes)
        ]
        head = (
            "class",
            "IoU",
            "F1",
            "precision (user's accuracy)",
            "recall (producer's accuracy)",
            "true pixels",
            "predicted pixels",
        )
        return Section("Classes", (), Table(head, rows))

    def _matrix(self) -> Section:
        confusion = self._confusion
        if len(confusion.classes) > _MOST_COLUMNS:
            words = f"{len(confusion.classes)} classes: see confusion.csv."
            return Section("Confusion matrix in pixels", (words,))
        names = [self._legend.name(label) for label in confusion.classes]
        rows = [
            [name, *(f"{pixels:,}" for pixels in row)]
            for name, row in zip(names, confusion.pixels.tolist(), strict=True)
        ]
        text = "Rows are the true classes, columns the predicted ones."
        return Section(
            "Confusion matrix in pixels", (text,), Table(("truth \\ prediction", *names), rows)
        )

    def _areas(self) -> Section:
        adjusted, hectares = self._adjusted, self._whole_area() / _HECTARE
        areas = Estimate(adjusted.shares.value * hectares, adjusted.shares.error * hectares)
        rows = []
        for index, label in enumerate(self._confusion.classes):
            mapped = float("nan") if self._area is None else self._area[index] / _HECTARE
            rows.append(
                [
                    self._legend.name(label),
                    amount(mapped),
                    _with_margin(areas, index, amount),
                    _with_margin(adjusted.shares, index, share),
                    _with_margin(adjusted.users, index, share),
                    _with_margin(adjusted.producers, index, share),
                ]
            )
        head = (
            "class",
            "mapped area (ha)",
            "adjusted area (ha)",
            "share of the area",
            "user's accuracy",
            "producer's accuracy",
        )
        margins = "± is half of the 95% confidence interval."
        return Section(
            "Area-adjusted accuracy", (_METHOD, self._note(), margins), Table(head, rows)
        )


def _mean(values: np.ndarray[Any, Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _estimate(estimate: Estimate, index: int | tuple[()]) -> dict[str, float | None]:
    return {
        "value": number(estimate.value[index]),
        "standard_error": number(estimate.error[index]),
        "margin_95": number(estimate.margin[index]),
    }


def _with_margin(estimate: Estimate, index: int | tuple[()], told: Any) -> str:
    value, margin = float(estimate.value[index]), float(estimate.margin[index])
    return told(value) if np.isnan(margin) else f"{told(value)} ± {told(margin)}"
