"""Keep the blocks of a run on disk, so that a run can stop anywhere and go on."""

import gzip
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from samdomain.errors import InputError, SamDomainError, StoppedError
from samdomain.whole_file import FULL, whole_file
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.results.output import is_full

Arrays = Mapping[str, NDArray[np.generic]]
"""What a block holds, by name; empty where the scene has no data."""

_MANIFEST = "manifest.json"
_LOCK = "lock"
_SUFFIX = ".block"

# Masks shrink 50 times at the fastest level; higher ones cost more time than the network.
_LEVEL = 1


@dataclass(frozen=True)
class BlockStore:
    """A folder with a manifest and one file for each finished block.

    A block's file is a gzipped safetensors file: nothing in it is run when it is read, and the
    checksum of gzip tells a torn one. It gets its name when it is whole and on disk. Any number
    of processes may write: whoever writes a block writes the same bytes.

    Attributes:
        folder: where the files are.
        manifest: what decides their content.
    """

    folder: Path
    manifest: Manifest

    def write(self, index: int, arrays: Arrays) -> None:
        """Write a block so that it is there whole or not at all.

        Raises:
            StoppedError: the disk is full, and what was finished before is kept; or the folder
                is gone.
        """
        content = gzip.compress(save(dict(arrays)), _LEVEL, mtime=0)
        try:
            with whole_file(self._path(index), durable=True) as scratch:
                scratch.write_bytes(content)
        except FileNotFoundError as error:
            raise _gone(self.folder) from error
        except OSError as error:
            if is_full(self.folder, error):
                raise _full(self.folder) from error
            raise

    def read(self, index: int) -> dict[str, NDArray[np.generic]]:
        """Read a block.

        Raises:
            StoppedError: it is missing or torn; a torn one is removed, to be computed again.
        """
        path = self._path(index)
        try:
            return load(gzip.decompress(path.read_bytes()))
        except FileNotFoundError as error:
            raise StoppedError(
                f"block {index} of {len(self.manifest)} is missing in {self.folder}: "
                "run again with --resume"
            ) from error
        except (gzip.BadGzipFile, EOFError, zlib.error, SafetensorError) as error:
            path.unlink(missing_ok=True)
            raise StoppedError(
                f"block {index} in {self.folder} was torn and is removed: "
                "run again with --resume to compute it anew"
            ) from error

    def has(self, index: int) -> bool:
        """Tell whether a block has a file."""
        return self._path(index).exists()

    def missing(self) -> list[int]:
        """Return the blocks that have no file."""
        there = {path.name for path in self.folder.glob(f"*{_SUFFIX}")}
        return [i for i in self.manifest.todo if self._path(i).name not in there]

    def sweep(self) -> list[int]:
        """Read every block there is, remove the torn ones, and return those that are missing."""
        for index in set(self.manifest.todo) - set(self.missing()):
            try:
                self.read(index)
            except StoppedError:  # torn, and removed by now
                continue
        return self.missing()

    def remove(self) -> None:
        """Remove the folder; it is gone at once, and what is left of it with the next claim."""
        remove_store(self.folder)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes on this machine from finishing the work meanwhile.

        Raises:
            InputError: another process is at it.
            StoppedError: another process has finished it.
        """
        with _locked(self.folder):
            if not (self.folder / _MANIFEST).exists():
                raise _gone(self.folder)
            yield

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Tell of a disk that fills up meanwhile, and that finished blocks are kept.

        Raises:
            StoppedError: it did.
        """
        try:
            yield
        except SamDomainError:
            raise
        except Exception as error:
            if is_full(self.folder, error):
                raise _full(self.folder) from error
            raise

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:07d}{_SUFFIX}"


def open_store(folder: Path) -> BlockStore:
    """Open a folder of blocks by its manifest.

    Raises:
        InputError: it has none, or one of another form.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} holds no work to go on with: it has no {_MANIFEST}")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = ""  # damaged, as below
    return BlockStore(folder, Manifest.from_json(text))


def claim_store(folder: Path, manifest: Manifest, *, resume: bool) -> BlockStore:
    """Begin work in a folder, or go on with it.

    Of two processes that begin at once, one finds the other's manifest.

    Args:
        folder: where the blocks are kept; made where it is missing.
        manifest: the run as it is asked for now.
        resume: go on with earlier work; the manifest that began it stays, with its date.

    Raises:
        InputError: the folder cannot be written or holds other things; there is earlier work
            and `resume` is false, or it would not fit together with blocks of the manifest.
        StoppedError: the disk is full.
    """
    clear_ended(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(folder)
        began = _create_whole(folder / _MANIFEST, manifest.to_json().encode())
    except OSError as error:
        if error.errno in FULL:
            raise _full(folder) from error
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
    store = open_store(folder)
    if began:
        return store
    if not resume:
        raise InputError(
            f"{folder} holds unfinished work: go on with --resume, or begin anew with --overwrite"
        )
    if changed := manifest.differences(store.manifest):
        raise InputError(
            f"{folder} was begun otherwise, and old blocks would not fit the new ones: "
            f"{'; '.join(changed)}: run it as it was begun, or begin anew with --overwrite"
        )
    return store


def remove_store(folder: Path) -> None:
    """Remove a folder of blocks, whatever state it is in.

    Raises:
        InputError: it cannot be removed, or holds what is not ours to remove.
    """
    try:
        _refuse_foreign(folder)
        clear_ended(folder)
        folder.rename(_ended(folder))
    except FileNotFoundError:  # another process was faster
        return
    except OSError as error:
        raise InputError(f"{folder} cannot be removed: {error.strerror}") from error
    clear_ended(folder)


def clear_ended(folder: Path) -> None:
    """Remove what a process that was killed while it removed the folder left of it."""
    shutil.rmtree(_ended(folder), ignore_errors=True)


def _ended(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.ended")


def _create_whole(path: Path, content: bytes) -> bool:
    """Write a file unless it is there; tell whether it was written."""
    own = path.with_name(f".{path.name}.{os.getpid()}.part")
    own.write_bytes(content)
    try:
        path.hardlink_to(own)
    except FileExistsError:
        return False
    except OSError:  # no hard links here: the name is taken a moment after it was found free
        if path.exists():
            return False
        own.replace(path)
    finally:
        own.unlink(missing_ok=True)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl  # noqa: PLC0415 - Windows has none, and there nobody is kept out
    except ModuleNotFoundError:
        yield
        return
    try:
        file = (folder / _LOCK).open("w")
    except FileNotFoundError as error:
        raise _gone(folder) from error
    with file:
        try:
            # The system lets go of it when the process ends, however it ends.
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is at work in {folder}: let it finish") from error
        yield


def _refuse_foreign(folder: Path) -> None:
    # A process that was killed while it began leaves hidden parts at most.
    if not (folder / _MANIFEST).exists() and any(
        not path.name.startswith(".") for path in folder.iterdir()
    ):
        raise InputError(f"{folder} holds other things: move it, since finished work removes it")


def _gone(folder: Path) -> StoppedError:
    return StoppedError(f"{folder} is gone: another process has finished the work")


def _full(folder: Path) -> StoppedError:
    return StoppedError(
        f"the disk of {folder} is full; finished blocks are kept: free space and run again with "
        "--resume"
    )
