"""Write a file or a folder so that its name stands for all of it, or for what it was before."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from samdomain.errors import InputError, StoppedError

# The place that was named is wrong; with every other error the disk gave up half-way.
_WRONG_PLACE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
    errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP,
}  # fmt: skip

FULL = {errno.ENOSPC, errno.EDQUOT}
"""Error numbers of a disk, or of a user's share of it, that has no room left."""


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield an empty scratch file beside a file, which takes its place when the block ends.

    Where the block raises, the scratch is gone and the file is as it was. Of processes that
    write the same file at once, the last one's stays.

    Args:
        path: file to write, in a folder that is there.
        durable: wait until the content is on disk before it gets its name, so that no name
            outlives its content in a power cut.

    Raises:
        OSError: the folder cannot be written, or the disk failed; see `writing`.
    """
    # Not by tempfile, whose files are for their owner only, as are those of safetensors.
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        scratch.touch(exist_ok=False)
        rights = scratch.stat().st_mode
        yield scratch
        scratch.chmod(rights)
        if durable:
            _flush(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty scratch folder, which takes a folder's place when the block ends.

    Where the block raises, or the folder cannot be renamed, an earlier folder is as it was.

    Args:
        folder: folder of files and folders to write, in one that is there; replaced as a whole.

    Raises:
        OSError: the folder above cannot be written, or the disk failed; see `writing`.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh, old = scratch / "new", scratch / "old"
    try:
        fresh.mkdir()
        yield fresh
        rights = fresh.stat().st_mode
        for path in fresh.rglob("*"):
            if path.is_file():
                path.chmod(rights & 0o666)
                _flush(path)
        _exchange(fresh, folder, old)
    finally:
        if folder.exists() or not old.exists():  # an earlier one is never lost
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Tell in a line what kept a file or a folder from being written.

    Raises:
        InputError: nothing can be written there.
        StoppedError: it was begun and the disk failed, as when it is full.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _WRONG_PLACE:
            raise InputError(f"{target} cannot be written: {reason}: give another place") from error
        raise _stopped(target, reason) from error
    except SafetensorError as error:  # how safetensors tells of a disk that failed
        raise _stopped(target, str(error)) from error


def _stopped(target: Path, reason: str) -> StoppedError:
    return StoppedError(
        f"{target} could not be written to its end ({reason}): nothing half-written was kept, "
        "and what stood there before still does; free space, or give another place"
    )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)  # Windows flushes only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(fresh: Path, folder: Path, old: Path) -> None:
    """Put a folder in the place of an earlier one, and the earlier one back where that fails."""
    try:
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
