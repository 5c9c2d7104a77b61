import base64
import re
from html.parser import HTMLParser
from pathlib import Path

from samdomain.html_report import Picture, Report, Section, Table, amount, share, write_report

NASTY = '<script>alert("x & y")</script>'


class Tags(HTMLParser):
    """Collect tags, their attributes and text, and check that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def write(path: Path) -> tuple[str, Tags]:
    picture = Picture(NASTY, NASTY, b"\x89PNG picture")
    table = Table((NASTY, "b"), [[NASTY, "1"]])
    sections = [Section(NASTY, (NASTY,), table), Section.of(picture)]
    write_report(Report(NASTY, (NASTY,), (NASTY,), sections), path / "r.html")
    page = (path / "r.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    return page, tags


def test_names_are_escaped(tmp_path: Path) -> None:
    """Whatever a file or a class is called, the page shows it and runs nothing."""
    page, tags = write(tmp_path)
    assert "<script" not in page
    assert tags.text.count(NASTY) == 10


def test_the_page_stands_alone(tmp_path: Path) -> None:
    """Pictures are inside, and nothing is fetched from anywhere."""
    page, tags = write(tmp_path)
    (source,) = tags.attributes["src"]
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == b"\x89PNG picture"
    assert not re.search(r"https?://|url\(|@import", page)
    assert "href" not in tags.attributes


def test_figures_are_told() -> None:
    """Shares have three decimals, amounts four digits, and what is not known says so."""
    assert [share(0.12345), share(float("nan"))] == ["0.123", "n/a"]
    assert [amount(1234567.8), amount(12.3456), amount(float("nan"))] == [
        "1,234,568",
        "12.35",
        "n/a",
    ]
