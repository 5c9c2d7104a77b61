import errno
from pathlib import Path
from typing import Any

import pytest

from samdomain.errors import StoppedError, WeightsError
from samdomain.weights.download import download

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def half(site: Any, tmp_path: Path) -> Path:
    """A file of which the first 3000 bytes came before the connection ended."""
    path = tmp_path / "weights" / "w.pth"
    site.content, site.cut = CONTENT, 3000
    with pytest.raises(StoppedError, match=r"ended after 3000 of 10240 bytes.*to go on"):
        download(site.url, path)
    return path


def test_a_file_arrives_whole_and_has_no_final_name_yet(site: Any, tmp_path: Path) -> None:
    """A complete download is handed over as a part, to be checked before it is named."""
    site.content = CONTENT
    part = download(site.url, tmp_path / "w.pth")
    assert part.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth.part"]
    assert site.requests == [(None, None)]


def test_an_interrupted_download_goes_on(site: Any, half: Path) -> None:
    """Only the missing bytes are asked for, on condition that the file is the same."""
    assert download(site.url, half).read_bytes() == CONTENT
    assert site.requests[1:] == [("bytes=3000-", '"one"')]


def test_a_weak_tag_proves_nothing(site: Any, tmp_path: Path) -> None:
    """A weak ETag may stand for other bytes: the download begins again."""
    site.content, site.cut, site.tag = CONTENT, 3000, 'W/"weak"'
    with pytest.raises(StoppedError):
        download(site.url, tmp_path / "w.pth")
    assert download(site.url, tmp_path / "w.pth").read_bytes() == CONTENT
    assert site.requests == [(None, None), (None, None)]


def test_a_date_serves_where_there_is_no_strong_tag(site: Any, tmp_path: Path) -> None:
    """The file's date is the condition where its ETag is weak."""
    site.content, site.cut, site.tag = CONTENT, 3000, 'W/"weak"'
    site.date = "Wed, 05 Apr 2023 10:00:00 GMT"
    with pytest.raises(StoppedError):
        download(site.url, tmp_path / "w.pth")
    assert download(site.url, tmp_path / "w.pth").read_bytes() == CONTENT
    assert site.requests[1:] == [("bytes=3000-", site.date)]


@pytest.mark.parametrize("conditions", [True, False])
def test_a_changed_file_begins_again(site: Any, half: Path, conditions: bool) -> None:
    """Bytes of two versions are never joined, even where the server ignores If-Range."""
    site.content, site.tag, site.conditions = CONTENT[::-1], '"two"', conditions
    assert download(site.url, half).read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_begins_again(site: Any, half: Path) -> None:
    """The whole file comes a second time, and replaces the part."""
    site.ranges = False
    assert download(site.url, half).read_bytes() == CONTENT


def test_a_part_that_is_too_long_begins_again(site: Any, half: Path) -> None:
    """A range beyond the file's end is refused by the server and asked for no more."""
    half.with_name("w.pth.part").write_bytes(CONTENT + b"more")
    assert download(site.url, half).read_bytes() == CONTENT


def test_two_downloads_of_one_file_are_noticed(site: Any, half: Path) -> None:
    """Bytes that another process appends make the part too long, and it is removed."""
    site.content, site.requests = CONTENT, Appending(half.with_name("w.pth.part"))
    with pytest.raises(StoppedError, match="two downloads"):
        download(site.url, half)
    site.requests = []
    assert download(site.url, half).read_bytes() == CONTENT


class Appending(list[Any]):
    """Append to a file whenever the server is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, item: Any) -> None:
        with self.path.open("ab") as file:
            file.write(b"from elsewhere")


def test_a_refusal_says_what_to_do(site: Any, tmp_path: Path) -> None:
    """A file that is gone is the input's fault, and the place for it is named."""
    site.status = 404
    with pytest.raises(WeightsError, match=rf"404 .* put it at {tmp_path / 'w.pth'}"):
        download(site.url, tmp_path / "w.pth")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_keeps_the_part(site: Any, half: Path, status: int) -> None:
    """What a later attempt may mend is no error of the input, and loses nothing."""
    site.status = status
    with pytest.raises(StoppedError, match=f"{status}.*3000 bytes are kept"):
        download(site.url, half)
    site.status = 200
    assert download(site.url, half).read_bytes() == CONTENT
    assert site.requests[-1][0] == "bytes=3000-"


def test_an_unreachable_server_is_named(site: Any, tmp_path: Path) -> None:
    """Nobody listening is one clear error."""
    with pytest.raises(StoppedError, match=r"127\.0\.0\.1:9/w.*0 bytes are kept"):
        download("http://127.0.0.1:9/w", tmp_path / "w.pth")


def test_a_full_disk_keeps_what_came(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room ends in one clear error."""

    def write_bytes(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    site.content = CONTENT
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(StoppedError, match="No space left"):
        download(site.url, tmp_path / "w.pth")
