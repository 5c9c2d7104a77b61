"""What a run over many cases tells: tables of figures, and an HTML report with pictures."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samdomain.html_report import Picture, Report, Section, Table, amount, write_report
from samdomain.whole_file import whole_file, writing
from samdomain_med.case_figures import Summary
from samdomain_med.journal import Row

RESEARCH = "Research use only: no medical device, and nobody has tested it on patients."

_SUMMARY = ("mean", "median", "low", "high", "cases", "left_out")
_DRAWN = 3  # cases of each kind
_ABOUT_FIGURES = (
    "The interval is that of the mean over cases (bootstrap). HD95 is in millimetres where files "
    "say how large a pixel is, else in pixels; cases in which only one side has the class are left "
    "out of it."
)


def write_cases(rows: Sequence[Row], path: Path) -> None:
    """Write a row a case, without the figures against labels."""
    names = ("name", "mask", "share", "score", "uncertain", "notes", "error")
    _write_csv([[_cell(row.get(name)) for name in names] for row in rows], names, path)


def write_metrics(rows: Sequence[Row], summaries: Mapping[str, Summary], path: Path) -> None:
    """Write the figures of each case that has labels, and rows of their summary behind."""
    lines = [
        [row["name"], *(_cell(row["figures"].get(name)) for name in summaries)]
        for row in rows
        if row.get("figures")
    ]
    lines += [
        [name, *(_cell(asdict(one)[name]) for one in summaries.values())] for name in _SUMMARY
    ]
    _write_csv(lines, ("name", *summaries), path)


def write_html(
    rows: Sequence[Row],
    summaries: Mapping[str, Summary],
    about: Sequence[str],
    folder: Path,
    path: Path,
) -> None:
    """Write the report.

    Args:
        rows: all cases, failed ones too.
        summaries: figures, where there are labels.
        about: lines that say what was run on what.
        folder: where the overlays are, by the rows' `overlay`.
        path: file to write.
    """
    failed = [row for row in rows if "error" in row]
    sections = [_summary_section(summaries)] if summaries else []
    sections += [
        Section.of(picture)
        for title, row in _chosen(rows)
        for picture in _drawn(title, row, folder)
    ]
    if failed:
        table = Table(("case", "reason"), [(row["name"], row["error"]) for row in failed])
        sections.append(Section("Cases that could not be read", table=table))
    report = Report(f"{len(rows)} cases", tuple(about), (RESEARCH,), sections)
    with writing(path), whole_file(path) as scratch:
        write_report(report, scratch)


def _summary_section(summaries: Mapping[str, Summary]) -> Section:
    table = Table(
        ("figure", "mean", "95% interval", "median", "cases", "left out"),
        [
            (
                name,
                amount(one.mean),
                f"{amount(one.low)} to {amount(one.high)}",
                amount(one.median),
                str(one.cases),
                str(one.left_out),
            )
            for name, one in summaries.items()
        ],
    )
    return Section(
        "Figures",
        (_ABOUT_FIGURES,),
        table,
    )


def _chosen(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return the cases to draw: worst, median and best, or without labels the least sure."""
    done = [row for row in rows if "error" not in row]
    measured = sorted((row for row in done if row.get("figures")), key=_quality)
    if not measured:
        unsure = sorted(done, key=lambda row: (not row["uncertain"], row["score"]))
        return [("Least sure", row) for row in unsure[:_DRAWN]]
    middle = max(0, len(measured) // 2 - _DRAWN // 2)
    kinds = {
        "Worst": measured[:_DRAWN],
        "Median": measured[middle : middle + _DRAWN],
        "Best": measured[-_DRAWN:],
    }
    return [(title, row) for title, some in kinds.items() for row in some]


def _quality(row: Row) -> float:
    """Return the mean Dice of the classes."""
    values = [one for name, one in row["figures"].items() if name.startswith("dice")]
    return sum(values) / len(values)


def _drawn(title: str, row: Row, folder: Path) -> list[Picture]:
    path = folder / row["overlay"]
    if not path.is_file():
        return []
    told = f"Dice {_quality(row):.3f}, " if row.get("figures") else ""
    sure = ", the passes disagree" if row["uncertain"] else ""
    caption = f"{told}score {row['score']:.2f}{sure}. Orange: found. Blue: label."
    return [Picture(f"{title}: {row['name']}", caption, path.read_bytes())]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return " ".join(value) if isinstance(value, list) else str(value)


def _write_csv(rows: Sequence[Sequence[str]], head: Sequence[str], path: Path) -> None:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    with writing(path), whole_file(path) as scratch:
        scratch.write_text(stream.getvalue(), encoding="utf-8")
