"""Tell whether an input is still the one that work was begun with."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from samdomain.weights import sha256
from samdomain_geo.scenes.source import is_remote, public_name, remote_version

# Up to this many bytes a file is hashed whole; of a larger one, this many pieces of that size.
_WHOLE = 1 << 30
_PIECES = 64
_PIECE = 1 << 20


@dataclass(frozen=True)
class Identity:
    """What is known of an input's content.

    Attributes:
        path: where it was found, absolute where it is a local file; it may move. A URL is kept
            with its query, which can hold a key: it is for the run, not for its record.
        size: bytes of its files together; None where a server does not tell.
        sha256: digest of its files, whole up to 1 GiB each and sampled above; empty for an
            input that is no local file.
        version: what else tells the content apart: the time of the last change in nanoseconds
            where the digest is a sample, what a server tells of the version of a remote file,
            else empty: a copy of a file is the same input.
    """

    path: str
    size: int | None
    sha256: str
    version: str

    @classmethod
    def of(cls, path: str | Path, files: Iterable[str] | None = None) -> Self:
        """Identify an input by its files; what lies behind a URL is not downloaded for it.

        Args:
            path: the input as the user gave it.
            files: all files that belong to it, as masks and sources of a virtual raster; by
                default its own alone.
        """
        where = str(path)
        if is_remote(where):
            told = remote_version(where)
            version = " ".join(filter(None, (told.etag, told.last_modified)))
            return cls(where, told.size, "", version)
        named = [where] if files is None else files
        local = [one for one in sorted(Path(name) for name in named) if one.is_file()]
        digest = "\n".join(_digest(one) for one in local)
        sampled = [one.stat().st_mtime_ns for one in local if one.stat().st_size > _WHOLE]
        return cls(
            path=str(Path(path).absolute() if Path(path).exists() else path),
            size=sum(one.stat().st_size for one in local),
            sha256=hashlib.sha256(digest.encode()).hexdigest() if len(local) > 1 else digest,
            version=str(max(sampled)) if sampled else "",
        )

    def record(self) -> dict[str, str | int | None]:
        """Return what may be shown to others: a URL without user, query and fragment."""
        return asdict(self) | {"path": public_name(self.path), "sha256": self.sha256 or None}


def _digest(path: Path) -> str:
    size = path.stat().st_size
    if size <= _WHOLE:
        return sha256(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for start in np.linspace(0, size - _PIECE, _PIECES).astype(int).tolist():
            file.seek(start)
            digest.update(file.read(_PIECE))
    return digest.hexdigest()
