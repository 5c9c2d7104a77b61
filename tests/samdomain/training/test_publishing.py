import errno
from pathlib import Path

import pytest

from samdomain.errors import InputError, StoppedError
from samdomain.training.publishing import published, told_of_disk, write_text


def test_a_file_is_there_whole(tmp_path: Path) -> None:
    """The folder is made, and nothing else is left in it."""
    write_text(tmp_path / "a/b.txt", "text")
    assert (tmp_path / "a/b.txt").read_text() == "text"
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """What was begun is gone, what was there is as it was."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with published(path) as scratch:
            scratch.write_text("ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoppedError),
        (errno.EDQUOT, StoppedError),
        (errno.EACCES, InputError),
        (errno.EIO, OSError),
    ],
)
def test_the_disk_is_told_of(tmp_path: Path, number: int, kind: type[Exception]) -> None:
    """A full disk stops, a folder without rights is wrong input, anything else is a bug."""
    with pytest.raises(kind), told_of_disk(tmp_path):
        raise OSError(number, "told")
