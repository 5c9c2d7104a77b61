"""Find what a user names as a raster, on a disk or behind a URL, and open it."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from samdomain.errors import InputError

_CURL = "/vsicurl/"

# GDAL looks for neighbours of a file when it opens it, and waits for a silent server for ever.
# What the user has set in the environment stays.
_REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
}
_PATIENCE = 10  # seconds to wait for a server's headers


@contextmanager
def open_source(path: str) -> Iterator[DatasetReader]:
    """Open a raster by its path, or one behind a URL by range requests.

    Args:
        path: anything that GDAL opens as a raster; http and https need no /vsicurl/ before them.

    Raises:
        InputError: it is missing, cannot be reached, or is no raster.
    """
    with rasterio.Env(**_unset(_REMOTE)) if is_remote(path) else nullcontext():
        with warnings.catch_warnings():
            # Said once and clearly where the CRS is needed.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                dataset = rasterio.open(path)
                _ = dataset.colorinterp  # where rasterio tells of a header that is damaged
            except (RasterioError, CPLE_BaseError, UnicodeError) as error:
                raise _unreadable(path, error) from error
        with dataset:
            yield dataset


def _unreadable(path: str, error: Exception) -> InputError:
    # URLs and GDAL's virtual paths (/vsi..., zip://...) are no files that could be missing.
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        return InputError(f"{path} does not exist: give the path of a raster")
    return InputError(f"{path} is not a raster that GDAL can read: {str(error).splitlines()[0]}")


def is_remote(path: str) -> bool:
    """Tell whether a path is read over a network, which may fail at any time."""
    return path.startswith(("/vsicurl", "/vsis3", "/vsigs", "/vsiaz", "/vsiswift")) or (
        "://" in path and urlsplit(path).scheme not in {"file", "zip", "tar", "gzip", "vrt"}
    )


def public_name(path: str) -> str:
    """Return a path as it may be shown: a URL without user, query and fragment.

    These can hold keys, as the queries of signed URLs do.
    """
    if "://" not in path:
        return path
    parts = urlsplit(path)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def file_name(path: str) -> str:
    """Return the last part of a path or URL."""
    return PurePosixPath(public_name(path)).name if is_remote(path) else Path(path).name


@dataclass(frozen=True)
class RemoteVersion:
    """What a server tells of a file's version; None where it does not tell.

    Attributes:
        size: bytes.
        etag: the server's own mark of the content.
        last_modified: time of the last change, as HTTP writes it.
    """

    size: int | None
    etag: str | None
    last_modified: str | None


def remote_version(path: str) -> RemoteVersion:
    """Return what a server tells of a file's version, without downloading the file.

    Args:
        path: URL or /vsicurl/ path; others have no version that could be asked for.
    """
    url = path.removeprefix(_CURL)
    headers = _headers(url) if url.startswith(("http://", "https://")) else Message()
    # bytes 0-0/146515, or no range where the server sends the whole
    size = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return RemoteVersion(
        size=int(size) if size.isdecimal() else None,
        etag=headers.get("ETag"),
        last_modified=headers.get("Last-Modified"),
    )


def _headers(url: str) -> Message:
    # Signed URLs allow GET only, so that one byte is asked for in place of HEAD.
    try:
        with urlopen(Request(url, headers={"Range": "bytes=0-0"}), timeout=_PATIENCE) as answer:
            return answer.headers
    except (OSError, HTTPException):
        return Message()


def _unset(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in os.environ}
