"""Find the labels of cases by their names, and read them as numbers of classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from samdomain.errors import InputError
from samdomain.training.pictures import SUFFIXES as PICTURES
from samdomain_med.files.case import Case, Kind
from samdomain_med.files.finding import Found

_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "picture": (*sorted(PICTURES), ""),
    "nifti": (".nii.gz", ".nii", ""),
    "dicom": (".dcm", ""),
}
_PARTS = ("", "_mask", "_seg")


@dataclass(frozen=True)
class LabelFiles:
    """Labels in one file, or in a folder under the names of their cases.

    Attributes:
        place: file of the only case's labels, or folder: NAME, NAME_mask or NAME_seg with the
            ending of the case's kind, .dcm of DICOM SEG, or none, where NAME is the case's with
            the folders in it.
        classes: names of the classes. Of one class all that is not 0 is it; of several, values
            are their numbers.

    Raises:
        InputError: there is no such place.
    """

    place: Path
    classes: Sequence[str]

    def __post_init__(self) -> None:
        """Refuse a place that is none."""
        if not self.place.exists():
            raise InputError(f"{self.place} does not exist: give a file or a folder of labels")

    def check(self, cases: Sequence[Found]) -> int:
        """Return how many cases have labels.

        Raises:
            InputError: one file is given for several cases, or no case has labels.
        """
        if self.place.is_file() and len(cases) > 1:
            raise InputError(
                f"{self.place} is one file, and there are {len(cases)} cases: give a folder of "
                "labels under the cases' names"
            )
        number = sum(self.find(case) is not None for case in cases)
        if not number:
            name, ending = cases[0].name, _ENDINGS[cases[0].kind][0]
            raise InputError(
                f"{self.place} has labels of none of the {len(cases)} cases: the first one's would "
                f"be {name}{ending} or {name}_mask{ending}"
            )
        return number

    def read(self, case: Case) -> Integer[np.ndarray, "*axes"] | None:
        """Return the labels of a case on its grid; None where it has none.

        Raises:
            InputError: they cannot be read, lie on another grid, or hold what is no class.
        """
        path = self.find(case)
        if path is None:
            return None
        values = case.labels(path)
        if len(self.classes) == 1:
            return (values != 0).astype(np.uint8)
        if values.size and (values.min() < 0 or values.max() > len(self.classes)):
            raise InputError(
                f"{path} has values from {values.min()} to {values.max()}: the classes "
                f"{', '.join(self.classes)} are 1 to {len(self.classes)}"
            )
        return values.astype(np.uint8)

    def find(self, case: Case | Found) -> Path | None:
        """Return the file of a case's labels."""
        if self.place.is_file():
            return self.place
        endings = _ENDINGS[case.kind]
        names = (f"{case.name}{part}{ending}" for ending in endings for part in _PARTS)
        return next((p for p in (self.place / name for name in names) if p.is_file()), None)
