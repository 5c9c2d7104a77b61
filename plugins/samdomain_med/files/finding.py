"""Find the cases of a path: pictures, NIfTI volumes and DICOM series, in the order of names."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from samdomain.errors import InputError
from samdomain.training.pictures import SUFFIXES as PICTURES
from samdomain_med.files import nifti
from samdomain_med.files.case import Case, Kind
from samdomain_med.files.dicom_header import is_dicom
from samdomain_med.files.dicom_series import read_series
from samdomain_med.files.mark import is_marked
from samdomain_med.files.nifti import read_nifti
from samdomain_med.files.picture import read_picture

_KNOWN = "PNG, JPEG, TIFF, BMP, WebP, .nii, .nii.gz and DICOM"


@dataclass(frozen=True)
class Found:
    """A case that was found and not yet read.

    Attributes:
        name: unique among those found together, folders before it with "/".
        path: a file, or the folder of a series.
        kind: sort of files.
        series: which series of a DICOM folder; see `read_series`.
        unplaced: whether volumes without an affine are taken; see `read_nifti`.
    """

    name: str
    path: Path
    kind: Kind
    series: str | None = None
    unplaced: bool = False

    def read(self) -> Case:
        """Read its pixels and where they lie.

        Raises:
            InputError: it is broken, or of a form that cannot be worked on.
        """
        readers = {
            "picture": read_picture,
            "nifti": partial(read_nifti, unplaced=self.unplaced),
            "dicom": partial(read_series, series=self.series),
        }
        return readers[self.kind](self.path, self.name)


def find_cases(path: Path, *, series: str | None = None, unplaced: bool = False) -> list[Found]:
    """List the cases of a file or a folder, and of all folders in it, by name.

    DICOM files directly in one folder are one case. Hidden files and folders, masks and overlays
    that samdomain wrote, and files of other kinds are left out; no pixels are read. A file that
    is named itself is taken whatever it is called.

    Args:
        path: a file, or a folder.
        series: which series of each DICOM folder: a UID, or a number from 1 on.
        unplaced: take volumes whose header has no affine.

    Raises:
        InputError: the path is missing, cannot be listed, or holds no case.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give a file or a folder")
    if path.is_file():
        kind = _kind(path)
        if kind is None:
            raise InputError(f"{path} is of no kind that can be read: {_KNOWN} can")
        return [Found(_stem(path), path, kind, series, unplaced)]
    found = [replace(one, series=series, unplaced=unplaced) for one in _walk(path)]
    if not found:
        raise InputError(f"{path} holds no case: {_KNOWN} can be read")
    return sorted(_unique(found, path), key=lambda one: one.name)


def _walk(top: Path) -> Iterator[Found]:
    for folder, folders, files in os.walk(top, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        within = Path(folder)
        kinds = {name: _kind(within / name) for name in files if not name.startswith(".")}
        place = within.relative_to(top)
        for name, kind in sorted(kinds.items()):
            file = within / name
            if kind in {"picture", "nifti"} and not is_marked(file):
                yield Found((place / _stem(file)).as_posix(), file, kind)
        if any(kind == "dicom" and not is_marked(within / name) for name, kind in kinds.items()):
            yield Found(place.as_posix() if within != top else top.resolve().name, within, "dicom")


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be listed: {error.strerror}") from error


def _kind(path: Path) -> Kind | None:
    name = path.name.lower()
    if name.endswith(nifti.SUFFIXES):
        return "nifti"
    if path.suffix.lower() in PICTURES:
        return "picture"
    return "dicom" if is_dicom(path) else None


def _stem(path: Path) -> str:
    return path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem


def _unique(found: Sequence[Found], top: Path) -> list[Found]:
    """Keep the endings of names that several cases would have, on any file system."""
    shared = Counter(one.name.casefold() for one in found)
    names = [
        one.path.relative_to(top).as_posix()
        if shared[one.name.casefold()] > 1 and one.kind != "dicom"
        else one.name
        for one in found
    ]
    renamed = [replace(one, name=name) for one, name in zip(found, names, strict=True)]
    # An ending may make a name equal to another's that had none, as a.png is to a.png.png.
    return renamed if names == [one.name for one in found] else _unique(renamed, top)
