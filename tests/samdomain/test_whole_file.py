import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from samdomain.errors import InputError, StoppedError
from samdomain.whole_file import whole_file, whole_folder, writing


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_gets_its_name_when_the_block_ends(durable: bool, tmp_path: Path) -> None:
    """Until then what stood there stands there; nothing else is left."""
    path = tmp_path / "a.txt"
    path.write_text("before")
    with whole_file(path, durable=durable) as scratch:
        scratch.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    """Other users of the machine may read it where they may read new files."""
    (tmp_path / "any").touch()
    with whole_file(tmp_path / "a.txt") as scratch:
        scratch.write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_file_is_as_it_was_when_the_block_raises(tmp_path: Path) -> None:
    """The scratch is gone, also when a user interrupts."""
    path = tmp_path / "a.txt"
    path.write_text("before")

    def interrupted() -> None:
        with whole_file(path) as scratch:
            scratch.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    """Each has a scratch of its own; the last one's content stays."""
    path = tmp_path / "a.txt"
    with whole_file(path) as one:
        with whole_file(path) as other:
            one.write_text("one")
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"


def test_a_folder_takes_an_earlier_ones_place(tmp_path: Path) -> None:
    """Files of the earlier one do not stay in it."""
    folder = tmp_path / "a"
    for name in ("old", "new"):
        with whole_folder(folder) as scratch:
            (scratch / name).write_text(name)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_may_hold_folders(tmp_path: Path) -> None:
    """Files further down are written as those at the top."""
    folder = tmp_path / "a"
    with whole_folder(folder) as scratch:
        (scratch / "deep").mkdir()
        (scratch / "deep" / "x.txt").write_text("x")
    assert (folder / "deep" / "x.txt").read_text() == "x"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_is_as_it_was_when_the_block_raises(tmp_path: Path) -> None:
    """One that was not there is not there."""

    def fail() -> None:
        with whole_folder(tmp_path / "a") as scratch:
            (scratch / "new").touch()
            raise RuntimeError

    for there in (False, True):
        if there:
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "old").touch()
        with pytest.raises(RuntimeError):
            fail()
        assert [path.name for path in tmp_path.rglob("*")] == ["a", "old"] * there


def test_an_earlier_folder_that_cannot_be_put_back_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies in the scratch, which is not removed then."""
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").write_text("mine")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path != folder:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"), whole_folder(folder):
        pass
    (kept,) = tmp_path.rglob("old/old")
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StoppedError),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), StoppedError),
        (SafetensorError("I/O error: no space left"), StoppedError),
        (PermissionError(errno.EACCES, "Permission denied"), InputError),
        (OSError(errno.EROFS, "Read-only file system"), InputError),
    ],
)
def test_a_full_disk_is_told_from_a_wrong_place(raised: Exception, told: type) -> None:
    """One stops the work, the other is the user's to mend; both name file and reason."""
    with (
        pytest.raises(told, match=r"x\.pth .*(space|quota|denied|Read-only)"),
        writing(Path("x.pth")),
    ):
        raise raised
