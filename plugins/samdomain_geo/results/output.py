"""Write a folder of results so that nothing half-written ever carries a final name."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from samdomain.errors import InputError, SamDomainError, StoppedError
from samdomain.whole_file import FULL

_TOLD = ("disk is full", "no space left", "quota exceeded")
_LEAST_FREE = 1 << 20  # bytes; below it no result of ours finds room


@dataclass(frozen=True)
class Output:
    """A folder that results are collected for.

    Attributes:
        folder: where the results will be.
        names: names of the results, the one that proves the others complete last.
        scratch: folder beside them in which they are written first.
    """

    folder: Path
    names: tuple[str, ...]
    scratch: Path

    def path(self, name: str) -> Path:
        """Return where to write a file; only those in `names` will be kept."""
        return self.scratch / name


@contextmanager
def output_folder(
    folder: Path, names: Sequence[str], *, overwrite: bool, scratch: Path | None = None
) -> Iterator[Output]:
    """Collect results in a scratch folder and move them to their names at the end.

    When the block fails, the folder is as it was before. Files in it that are nobody's results
    are never touched.

    Args:
        folder: folder of the results; it is made where it is missing.
        names: results that the block must write, the one that proves the others last.
        overwrite: replace earlier results of the same names, and remove those of other names
            that an earlier run's record lists under `files`.
        scratch: where results are written first, on the same disk; what an earlier run left
            there is removed. By default a new folder in `folder`.

    Raises:
        InputError: the folder cannot be written, or holds results and `overwrite` is false.
        StoppedError: the disk is full.
    """
    if not overwrite:
        refuse_existing(folder, names)
    made = _make(folder)
    try:
        scratch = _make_scratch(folder, scratch)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
    output = Output(folder, tuple(names), scratch)
    try:
        yield output
        _publish(output)
    except SamDomainError:
        raise
    except Exception as error:
        if is_full(folder, error):
            raise StoppedError(
                f"the disk of {folder} is full; nothing was kept: free space and run again"
            ) from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        _remove_empty(made)


def refuse_existing(folder: Path, names: Sequence[str]) -> None:
    """Refuse to write into a folder that holds any of the results.

    Raises:
        InputError: it does.
    """
    if existing := [name for name in names if (folder / name).exists()]:
        raise InputError(
            f"{folder} already holds {', '.join(existing)}: give another --out, or --overwrite"
        )


def _make_scratch(folder: Path, scratch: Path | None) -> Path:
    if scratch is None:
        return Path(tempfile.mkdtemp(prefix=".samdomain-", dir=folder))
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return scratch


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents, and return those that were missing, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise InputError(f"{folder} cannot be made: {error.strerror}") from error
    return missing


def is_full(folder: Path, error: Exception) -> bool:
    """Tell whether an error means that the disk of a folder is full."""
    # GDAL and SQLite tell of a full disk in errors of their own, or only by failing; and what
    # they take back on failure leaves room again.
    told = isinstance(error, OSError) and error.errno in FULL
    told |= any(words in str(error).lower() for words in _TOLD)
    return told or shutil.disk_usage(folder).free < _LEAST_FREE


def _publish(output: Output) -> None:
    stale = _recorded(output.folder / output.names[-1]) - {*output.names}
    # The last name proves the others: it goes first and comes back last.
    (output.folder / output.names[-1]).unlink(missing_ok=True)
    for name in stale:
        (output.folder / name).unlink(missing_ok=True)
    for name in output.names:
        output.path(name).replace(output.folder / name)


def _recorded(record: Path) -> set[str]:
    """Return the results that an earlier run says it wrote beside its record."""
    if record.suffix != ".json":
        return set()
    try:
        listed = json.loads(record.read_text(encoding="utf-8"))["files"]
        # Whoever wrote the record: what lies elsewhere is not ours.
        own = {name for name in listed if name == Path(name).name}
        return {name for name in own if (record.parent / name).is_file()}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
