"""Download a file so that an interrupted download goes on where it stopped."""

import logging
import re
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from samdomain.errors import StoppedError, WeightsError

logger = logging.getLogger(__name__)

_PIECE = 1 << 18  # bytes: the progress moves several times a second on a slow line
_SILENCE = 60  # seconds without a byte after which a server is given up
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


def download(url: str, path: Path) -> Path:
    """Download a file to `PATH.part`, and go on with what an earlier attempt left there.

    A part is continued only where the server proves with If-Range that it still offers the
    same file; else, and where it offers no ranges, the download begins again. Only a complete
    file is returned, which the caller checks and gives its final name.

    Args:
        url: address of the file, http or https.
        path: place that the file shall have in the end.

    Returns:
        The complete part.

    Raises:
        WeightsError: the server refuses the file.
        StoppedError: server, connection or disk stopped half-way; what came so far is kept.

    Source: RFC 9110, sections 13.1.5 (If-Range) and 14 (ranges).
    """
    part = _Part(path.with_name(path.name + ".part"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open(url, part) as response:
            _receive(response, part, path.name)
    except HTTPError as error:
        error.close()
        if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in _LATER:
            raise WeightsError(
                f"the server refuses {url} ({error.code} {error.reason}): get the file by other "
                f"means and put it at {path}"
            ) from error
        raise _stopped(url, part, f"{error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _stopped(url, part, str(error) or type(error).__name__) from error
    part.state.unlink(missing_ok=True)
    return part.path


@dataclass(frozen=True)
class _Part:
    """What has come of a file so far, beside the server's mark of the file's version."""

    path: Path

    @property
    def state(self) -> Path:
        """File of the mark: an ETag or a date, as the server sent it."""
        return self.path.with_name(self.path.name + ".version")

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> str:
        """Return the mark of the version that the part belongs to; empty where unknown."""
        return self.state.read_text(encoding="utf-8") if self.state.exists() else ""

    def begin(self, version: str) -> None:
        """Empty the part, then note the version: in this order no bytes get a wrong mark."""
        self.path.write_bytes(b"")
        self.state.write_text(version, encoding="utf-8")


def _open(url: str, part: _Part) -> HTTPResponse:
    size, version = part.size, part.version()
    if size and version:
        try:
            response = _get(url, {"Range": f"bytes={size}-", "If-Range": version})
        except HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            error.close()
        else:
            if response.status == HTTPStatus.OK or _continues(response.headers, size, version):
                return response
            response.close()
    return _get(url, {})


def _get(url: str, headers: dict[str, str]) -> HTTPResponse:
    return urlopen(Request(url, headers={"User-Agent": "samdomain", **headers}), timeout=_SILENCE)


def _continues(headers: Message, size: int, version: str) -> bool:
    # A server may know ranges but not If-Range: compare what it sends with what is here.
    return _start(headers) == size and _version(headers) in {version, ""}


def _start(headers: Message) -> int:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(found[1]) if found else 0


def _version(headers: Message) -> str:
    tag = headers.get("ETag", "")
    # If-Range takes no weak tags: they mark files that may differ in bytes.
    return headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag


def _receive(response: HTTPResponse, part: _Part, name: str) -> None:
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        part.begin(_version(response.headers))
    # What is here may have grown since the server was asked, if two commands download at once.
    start = _start(response.headers)
    length = response.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    hidden = True if logger.getEffectiveLevel() > logging.WARNING else None  # None: off a terminal
    with (
        part.path.open("ab") as file,
        tqdm(
            desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=hidden
        ) as progress,
    ):
        while piece := response.read(_PIECE):
            file.write(piece)
            progress.update(len(piece))
    if total is None or part.size == total:
        return
    if part.size > total:
        part.path.unlink()
        raise OSError("two downloads wrote the same file, which is removed")
    # http.client takes a connection that ends early for the end of the file.
    raise OSError(f"the connection ended after {part.size} of {total} bytes")


def _stopped(url: str, part: _Part, reason: str) -> StoppedError:
    return StoppedError(
        f"the download of {url} stopped: {reason}. {part.size} bytes are kept in {part.path}: "
        "give the same command again to go on"
    )
