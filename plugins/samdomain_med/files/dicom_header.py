"""Headers of DICOM files: what is read of them, and how what they say of patients stays inside."""

import logging
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError

from samdomain.errors import InputError

SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
"""What the name of a DICOM file may end in, in small letters; most have no ending."""

_MAGIC = b"DICM"
_MAGIC_AT = 128  # bytes, PS3.10 section 7.1
# What pydicom, its decoders and highdicom raise for values that break the standard.
_FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, struct.error, zlib.error, InvalidDicomError, BytesLengthException, MemoryError,
)  # fmt: skip
_MODALITY = re.compile("[A-Z]{2,16}")  # defined terms of PS3.3 C.7.3.1.1.1
# Objects that have rows and columns and are no images of a patient.
_NO_IMAGES = frozenset({"SEG", "RTDOSE", "PR", "SR", "KO", "RTSTRUCT", "RTPLAN"})


@dataclass(frozen=True, eq=False)
class Slice:
    """One DICOM image: its file, and where it lies in the patient, left, posterior and superior.

    Attributes:
        path: its file.
        header: everything but the pixels, with what it says of the patient; pydicom converts a
            value, and complains of it, when it is first asked for: only within `private`.
        uid: its own.
        series: UID of its series.
        number: of its series, as the scanner counts; 0 where it is not told.
        modality: "CT", "US"; None where it is no term of the standard's form.
        size: rows and columns.
        channels: one, or three of colours.
        position: (3,) millimetres to the first pixel's middle; None where it is not told.
        orientation: (2, 3) unit vectors along a row and down a column.
        spacing: (2,) millimetres between rows, and between columns.
    """

    path: Path
    header: Dataset = field(repr=False)
    uid: str = field(repr=False)
    series: str = field(repr=False)
    number: int
    modality: str | None
    size: tuple[int, int]
    channels: int
    position: Float64[np.ndarray, "3"] | None
    orientation: Float64[np.ndarray, "2 3"] | None
    spacing: Float64[np.ndarray, "2"] | None


@contextmanager
def private(path: Path, doing: str) -> Iterator[None]:
    """Let nothing out of a block that quotes a DICOM file: no warning, log or error of a library.

    Args:
        path: file to name in their place.
        doing: what fails, behind the file's name, as "cannot be read".

    Raises:
        InputError: the block failed.
    """
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the folder") from None
    except _FAULTS as error:
        # Neither the message nor the error itself, whose text may hold a patient's name.
        raise InputError(f"{path} {doing} ({type(error).__name__})") from None
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def is_dicom(path: Path) -> bool:
    """Tell by its name or its first bytes whether a file claims to be DICOM."""
    if path.name.upper() == "DICOMDIR":
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except OSError:
        return False


def read_slice(path: Path) -> Slice | None:
    """Read the header of a DICOM image; None where a sound DICOM file holds none, as a report.

    Raises:
        InputError: the file is missing, or no DICOM file that can be read.
    """
    with private(path, "is no DICOM file that can be read, or is broken"):
        # Old scanners leave the first 132 bytes out; what is no DICOM has no class of objects.
        header = dcmread(path, stop_before_pixels=True, force=True)
        if "SOPClassUID" not in header or "SOPInstanceUID" not in header:
            raise InputError(f"{path} is no DICOM file: take it out of the folder")
        modality = str(header.get("Modality", ""))
        if modality in _NO_IMAGES or "Rows" not in header:
            return None
        number = str(header.get("SeriesNumber") or "")
        return Slice(
            path=path,
            header=header,
            uid=str(header.SOPInstanceUID),
            series=str(header.get("SeriesInstanceUID", "")),
            number=int(number) if number.isdecimal() else 0,
            modality=modality if _MODALITY.fullmatch(modality) else None,
            size=(int(header.Rows), int(header.Columns)),
            channels=int(header.get("SamplesPerPixel") or 1),
            position=_vector(header, "ImagePositionPatient", (3,)),
            orientation=_vector(header, "ImageOrientationPatient", (2, 3)),
            spacing=_vector(header, "PixelSpacing", (2,)),
        )


def frames_of(image: Slice) -> list[Slice]:
    """Return each frame of an enhanced image as a slice of its own, in the order of the file.

    Places stand in functional groups, a frame's own before those that all frames share (PS3.3
    C.7.6.16).

    Raises:
        InputError: the groups are broken.
    """
    with private(image.path, "has functional groups that cannot be read"):
        return [
            replace(
                image,
                position=_grouped(
                    image.header, frame, "PlanePosition", "ImagePositionPatient", (3,)
                ),
                orientation=_grouped(
                    image.header, frame, "PlaneOrientation", "ImageOrientationPatient", (2, 3)
                ),
                spacing=_grouped(image.header, frame, "PixelMeasures", "PixelSpacing", (2,)),
            )
            for frame in range(int(image.header.NumberOfFrames))
        ]


def is_enhanced(header: Dataset) -> bool:
    """Tell whether a file holds several frames that say where each of them lies."""
    return (
        int(header.get("NumberOfFrames") or 1) > 1 and "PerFrameFunctionalGroupsSequence" in header
    )


def functional_group(header: Dataset, frame: int, name: str) -> Dataset:
    """Return a functional group of a frame, its own or the shared one; empty where there is none.

    Args:
        header: of an enhanced image.
        frame: counted from 0.
        name: of the group, as "PixelMeasures".
    """
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    for groups in (header.PerFrameFunctionalGroupsSequence[frame], *shared):
        if found := groups.get(f"{name}Sequence"):
            return found[0]
    return Dataset()


def _grouped(
    header: Dataset, frame: int, group: str, keyword: str, shape: tuple[int, ...]
) -> np.ndarray[Any, Any] | None:
    return _vector(functional_group(header, frame, group), keyword, shape)


def _vector(header: Dataset, keyword: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    values = header.get(keyword)
    return None if not values else np.array([float(v) for v in values]).reshape(shape)
