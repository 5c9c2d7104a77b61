import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monai")

from samdomain.errors import InputError
from samdomain_med.case_run import CaseRun
from samdomain_med.case_segmenter import Finding
from samdomain_med.files.case import Case
from samdomain_med.files.finding import find_cases
from samdomain_med.intensities import Percentiles
from samdomain_med.journal import Journal
from samdomain_med.slices import Slicing


@dataclass
class Bright:
    """Find what is bright, in the place of a segmenter."""

    classes = ("light",)
    intensities = Percentiles()
    slicing = Slicing(2)
    asked: int = 0

    def __call__(self, case: Case) -> Finding:
        self.asked += 1
        return Finding((np.asarray(case.pixels)[0] > 100).astype(np.uint8), 0.9)


@dataclass
class Made:
    """A case that was found, of a modality."""

    name: str
    path: Path
    modality: str

    def read(self) -> Case:
        """Read it."""
        return replace(find_cases(self.path)[0].read(), name=self.name, modality=self.modality)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.zeros((40, 50), np.uint8)
    pixels[10:20, 10:30] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize(("modality", "warned"), [("US", True), ("ES", False)])
def test_another_modality_is_warned_of(
    picture: Path, modality: str, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names the file, and what the adapter was trained on."""
    journal = Journal(tmp_path / "out")
    run = CaseRun(Bright(), journal, modality="ES")  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        rows = run([Made("a", picture, modality)], journal.begin({}, resume=False))
    assert ("a.png is US, the adapter was trained on ES" in caplog.text) == warned
    assert rows[0]["share"] == pytest.approx(200 / 2000)


@pytest.mark.parametrize(("channels", "warned"), [(3, 1), (1, 0)])
def test_other_channels_are_warned_of_once(
    picture: Path, channels: int, warned: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A grey picture for a model of colours, and no line for each of thousands."""
    journal = Journal(tmp_path / "out")
    run = CaseRun(Bright(), journal, channels=channels)  # type: ignore[arg-type] - a stand-in
    with caplog.at_level(logging.WARNING):
        run([Made(name, picture, "ES") for name in "abc"], journal.begin({}, resume=False))
    assert caplog.text.count("has 1 channel, the adapter takes 3") == warned


def test_a_stopped_run_goes_on(picture: Path, tmp_path: Path) -> None:
    """What is written down is not done again; a line that was cut off is; a lost mask is."""
    journal, asked = Journal(tmp_path / "out"), Bright()
    run = CaseRun(asked, journal)  # type: ignore[arg-type]
    cases = [Made(name, picture, "ES") for name in ("a", "b", "c")]
    rows = run(cases, journal.begin({"axis": 2}, resume=False))
    lines = journal.path.read_text()
    journal.path.write_text(lines[:-20])  # the last line was being written
    (journal.folder / rows[0]["mask"]).unlink()
    again = run(cases, journal.begin({"axis": 2}, resume=True))
    assert asked.asked == 3 + 2
    assert again == rows
    with pytest.raises(InputError, match="another axis"):
        journal.begin({"axis": 1}, resume=True)


def test_a_line_that_was_cut_off_hides_none_behind_it(tmp_path: Path) -> None:
    """Stopped again later, a run has what it did since."""
    journal = Journal(tmp_path / "out")
    journal.begin({}, resume=False)
    for name in "ab":
        journal.add({"name": name, "mask": f"{name}.png"})
    journal.path.write_text(journal.path.read_text()[:-9])
    assert journal.begin({}, resume=True).keys() == {"a"}
    for name in "bc":
        journal.add({"name": name, "mask": f"{name}.png"})
    assert journal.begin({}, resume=True).keys() == {"a", "b", "c"}
