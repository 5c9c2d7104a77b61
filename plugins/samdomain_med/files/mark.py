"""The mark that masks of ours carry at their beginning, so that they are never taken for input."""

import gzip
import zlib
from pathlib import Path

import samdomain

MARK = f"samdomain {samdomain.__version__}"
"""Stands as a PNG's Software, in a NIfTI's descrip, as a DICOM file's implementation version."""

_HEAD = 1000  # bytes; all three places lie within them


def is_marked(path: Path) -> bool:
    """Tell whether a file is a mask that samdomain, of any version, has written."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            return b"samdomain " in file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return False  # who reads it will say what is wrong
