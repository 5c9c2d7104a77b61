"""Write files so that none of them is ever half there under its final name."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samdomain.errors import InputError, StoppedError
from samdomain.whole_file import FULL


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Give a path to write to, and rename it to the final one when all went well.

    Args:
        path: final path; its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.chmod(0o644)  # mkstemp's is for the owner only
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with published(path) as scratch:
        scratch.write_text(text)


@contextmanager
def told_of_disk(folder: Path) -> Iterator[None]:
    """Turn the operating system's complaints about a folder into ours.

    Raises:
        StoppedError: the disk is full.
        InputError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StoppedError(
                f"the disk of {folder} is full: make room, then --resume goes on"
            ) from error
        if error.errno in {errno.EACCES, errno.EROFS, errno.ENOTDIR}:
            raise InputError(f"{folder} cannot be written: {error.strerror}") from error
        raise
