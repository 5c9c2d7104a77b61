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
