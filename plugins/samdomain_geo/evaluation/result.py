"""Put the figures, pictures and notes of an evaluation into its files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from samdomain.html_report import Picture, Report, Section, write_report
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import now, software
from samdomain_geo.results.output import Output

SCHEMA = 1

REPORT, METRICS = "report.html", "metrics.json"


class Outcome(Protocol):
    """Figures that can tell of themselves."""

    @property
    def headline(self) -> Mapping[str, float | None]:
        """The figures that a person wants first."""
        ...

    def metrics(self) -> dict[str, Any]:
        """Return all figures, as JSON holds them."""
        ...

    def sections(self) -> Sequence[Section]:
        """Return the tables of a report, the most important first."""
        ...


@dataclass(frozen=True, eq=False)
class Result:
    """An evaluation that is done.

    Attributes:
        outcome: its figures.
        pictures: pictures for the report.
        notes: what a reader must know to understand the figures.
        counts: what was used of the files.
        inputs: the files, as prediction and truth.
    """

    outcome: Outcome
    pictures: Sequence[Picture]
    notes: Sequence[str]
    counts: Mapping[str, Any]
    inputs: Mapping[str, Identity]

    def write(self, output: Output, names: tuple[str, str], parameters: dict[str, Any]) -> None:
        """Write the report and the figures.

        Args:
            output: where to.
            names: what the prediction and the truth are called.
            parameters: the command's flags.
        """
        date, versions = now(), software()
        first, *others = self.outcome.sections()
        sections = [first, *map(Section.of, self.pictures), *others]
        title = f"Evaluation of {names[0]} against {names[1]}"
        about = (f"{date}, samdomain {versions['samdomain']}",)
        report = Report(title, about, tuple(self.notes), sections)
        write_report(report, output.path(REPORT))
        record = {
            "schema": SCHEMA,
            "verb": "evaluate",
            "date": date,
            "versions": versions,
            "inputs": {side: identity.record() for side, identity in self.inputs.items()},
            "parameters": parameters,
            "counts": dict(self.counts),
            "notes": list(self.notes),
            **self.outcome.metrics(),
            "files": list(output.names),
        }
        text = json.dumps(record, indent=2, allow_nan=False)
        output.path(METRICS).write_text(text + "\n", encoding="utf-8")
