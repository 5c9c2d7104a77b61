"""Write a report as one HTML file that needs nothing beside it."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

NOT_KNOWN = "n/a"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; border-bottom: 1px solid #ccc; }
p, ul { margin: .4rem 0; }
.about, figcaption, .note { color: #555; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #999; vertical-align: bottom; }
figure { margin: .6rem 0; }
img { max-width: 100%; height: auto; }
@media print {
  body { max-width: none; margin: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  figure, table { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


@dataclass(frozen=True)
class Picture:
    """A picture for a report.

    Attributes:
        title: what it shows.
        caption: how to read it.
        png: the picture itself.
    """

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Table:
    """A table of text, the first column of which names the rows."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: its heading.
        text: paragraphs below the heading.
        table: figures, if it has any.
        picture: a picture, if it has one.
    """

    title: str
    text: tuple[str, ...] = ()
    table: Table | None = None
    picture: Picture | None = None

    @classmethod
    def of(cls, picture: Picture) -> "Section":
        """Return a section that is a picture."""
        return cls(picture.title, picture=picture)


@dataclass(frozen=True)
class Report:
    """What a report says.

    Attributes:
        title: heading of the whole.
        about: lines below it: what was compared, when, by which version.
        notes: what a reader must know to understand the figures.
        sections: its parts.
    """

    title: str
    about: tuple[str, ...]
    notes: tuple[str, ...]
    sections: Sequence[Section] = field(default_factory=tuple)


def write_report(report: Report, path: Path) -> None:
    """Write a report; pictures are inside, and nothing is fetched when it is read.

    Args:
        report: what it says, as plain text: what HTML would take for its own is escaped.
        path: file to write.
    """
    body = [
        f"<h1>{escape(report.title)}</h1>",
        *(f'<p class="about">{escape(line)}</p>' for line in report.about),
        *_notes(report.notes),
        *(part for section in report.sections for part in _section(section)),
    ]
    page = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head>",
        "<body>",
        *body,
        "</body></html>",
    ]
    path.write_text("\n".join(page) + "\n", encoding="utf-8")


def share(value: float) -> str:
    """Return a share as text, with three decimals."""
    return NOT_KNOWN if math.isnan(value) else f"{value:.3f}"


def amount(value: float) -> str:
    """Return an amount as text, with four significant digits below 1000."""
    if math.isnan(value):
        return NOT_KNOWN
    if abs(value) >= 1000:  # noqa: PLR2004 - as the docstring says
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _notes(notes: tuple[str, ...]) -> list[str]:
    if not notes:
        return []
    return ["<ul>", *(f"<li>{escape(note)}</li>" for note in notes), "</ul>"]


def _section(section: Section) -> list[str]:
    lines = [f"<h2>{escape(section.title)}</h2>"]
    if section.table is not None:
        lines += _table(section.table)
    if section.picture is not None:
        encoded = base64.b64encode(section.picture.png).decode()
        words = escape(section.picture.title)
        lines.append(f'<figure><img alt="{words}" src="data:image/png;base64,{encoded}">')
        lines.append(f"<figcaption>{escape(section.picture.caption)}</figcaption></figure>")
    return [*lines, *(f'<p class="note">{escape(line)}</p>' for line in section.text)]


def _table(table: Table) -> list[str]:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = (
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return [
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>',
        *rows,
        "</tbody></table></div>",
    ]
