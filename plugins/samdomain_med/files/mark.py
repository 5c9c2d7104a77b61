"""The mark that results of ours carry at their beginning, so that none is taken for input."""

import gzip
import zlib
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

import samdomain

MARK = f"samdomain {samdomain.__version__}"
"""Stands as a PNG's Software, in a NIfTI's descrip, as a DICOM file's implementation version."""

_HEAD = 1000  # bytes; all three places lie within them


def told() -> PngInfo:
    """Return what every PNG of ours says of itself."""
    words = PngInfo()
    words.add_text("Software", MARK)
    words.add_text("Description", "Research use only")
    return words


def is_marked(path: Path) -> bool:
    """Tell whether a file is a mask or an overlay that samdomain, of any version, has written."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            return b"samdomain " in file.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return False  # who reads it will say what is wrong
