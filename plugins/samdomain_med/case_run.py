"""Look at many cases, one after the other, and leave a mask and a picture of each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from samdomain.errors import InputError
from samdomain.whole_file import whole_file, writing
from samdomain_med.case_figures import compare
from samdomain_med.case_segmenter import PICTURE, CaseSegmenter
from samdomain_med.files.case import Case
from samdomain_med.files.finding import Found
from samdomain_med.journal import Journal, Row
from samdomain_med.label_files import LabelFiles
from samdomain_med.orientation import Orientation
from samdomain_med.overlay import draw

OVERLAYS = "overlays"
"""Folder of the pictures, in that of the results."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CaseRun:
    """What is done with each case.

    Attributes:
        segmenter: what is asked.
        journal: where it is written down.
        labels: the truth, where it is known.
        modality: kind of image that the adapter was trained on; another one is warned of, once.
        channels: channels that the adapter takes; pictures with others are warned of, once.
    """

    segmenter: CaseSegmenter
    journal: Journal
    labels: LabelFiles | None = None
    modality: str = ""
    channels: int = 3
    _warned: set[str] = field(default_factory=set[str], init=False, repr=False)

    def __call__(self, cases: Sequence[Found], done: dict[str, Row]) -> list[Row]:
        """Look at all cases that are not done; return the rows of all, in the order of cases.

        A case that cannot be read has a row with `error`.

        Raises:
            StoppedError: the disk is full; what is done is written down.
        """
        rows = dict(done)
        for found in tqdm(cases, unit="case", disable=None):
            row = rows.get(found.name)
            if row is not None and (self.journal.folder / row["mask"]).is_file():
                continue
            rows[found.name] = self._row(found)
            self.journal.add(rows[found.name])
        return [rows[found.name] for found in cases]

    def _row(self, found: Found) -> Row:
        try:
            return self._look(found.read())
        except InputError as error:
            logger.error("%s", error)
            return {"name": found.name, "error": str(error)}

    def _look(self, case: Case) -> Row:
        self._doubt(case)
        folder, classes = self.journal.folder, self.segmenter.classes
        true = None if self.labels is None else self.labels.read(case)
        finding = self.segmenter(case)
        mask = case.write(finding.mask, folder, classes)
        return {
            "name": case.name,
            "mask": mask.relative_to(folder).as_posix(),
            "overlay": self._draw(case, finding.mask, true),
            "share": float(np.count_nonzero(finding.mask) / max(1, finding.mask.size)),
            "score": finding.score,
            "uncertain": finding.uncertain,
            "notes": list(case.notes),
            "figures": None if true is None else compare(finding.mask, true, classes, case.spacing),
        }

    def _doubt(self, case: Case) -> None:
        """Warn of a case that may be of another kind than the adapter knows."""
        doubts: dict[str, str] = {}
        if self.modality and case.modality and case.modality != self.modality:
            known = self.modality
            doubts[case.modality] = f"is {case.modality}, the adapter was trained on {known}"
        if len(case.shape) == PICTURE and len(case.pixels) == 1 < self.channels:
            doubts["grey"] = f"has 1 channel, the adapter takes {self.channels}: it is repeated"
        for kind, doubt in doubts.items():
            if kind not in self._warned:
                logger.warning("%s %s; others like it are not told of", case.path, doubt)
        self._warned.update(doubts)

    def _draw(self, case: Case, mask: np.ndarray, true: np.ndarray | None) -> str:
        """Write the overlay, and return its path below the folder of the results."""
        shown = self.segmenter.intensities
        axis = Orientation.of(case.affine).order[self.segmenter.slicing.axis]
        name = f"{OVERLAYS}/{case.name}.png"
        path: Path = self.journal.folder / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as scratch:
                scratch.write_bytes(draw(case, shown, mask, true, axis))
        return name
