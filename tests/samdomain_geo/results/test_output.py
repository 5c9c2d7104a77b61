import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from samdomain.errors import InputError, StoppedError
from samdomain_geo.results.output import output_folder

NAMES = ("a.txt", "run.json")


def write(folder: Path, text: str = "new", *, overwrite: bool = False) -> None:
    with output_folder(folder, NAMES, overwrite=overwrite) as output:
        for name in NAMES:
            output.path(name).write_text(text)
        output.path("scratch.txt").write_text("not a result")
        assert not (folder / "run.json").exists() or overwrite


def test_results_appear_at_the_end(tmp_path: Path) -> None:
    """The named files are moved to their names; nothing else is left."""
    write(tmp_path / "deep" / "out")
    assert {p.name for p in (tmp_path / "deep" / "out").iterdir()} == set(NAMES)


def test_earlier_results_are_kept_unless_told(tmp_path: Path) -> None:
    """Results are replaced only with overwrite, and other files never."""
    write(tmp_path, "old")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"already holds a.txt, run.json: .*--overwrite"):
        write(tmp_path)
    assert (tmp_path / "a.txt").read_text() == "old"
    write(tmp_path, overwrite=True)
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "mine.txt").read_text() == "mine"


def fail(folder: Path, error: BaseException, *, overwrite: bool = False) -> None:
    with output_folder(folder, NAMES, overwrite=overwrite) as output:
        output.path("a.txt").write_text("half")
        raise error


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    """Folders that were made are removed again, and earlier results survive."""
    with pytest.raises(ValueError, match="no"):
        fail(tmp_path / "deep" / "out", ValueError("no"))
    assert not (tmp_path / "deep").exists()
    write(tmp_path, "old")
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path, KeyboardInterrupt(), overwrite=True)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys(NAMES, "old")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_such(tmp_path: Path, number: int) -> None:
    """No room on the disk, or in the user's share of it, stops the run and leaves nothing."""
    with pytest.raises(StoppedError, match=r"disk of .* is full"):
        fail(tmp_path / "out", OSError(number, os.strerror(number)))
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_whatever_the_library_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL's own error on a disk without room is a full disk, on one with room it is not."""
    with pytest.raises(StoppedError, match="is full"):
        fail(tmp_path / "out", RuntimeError("failed to execute insert : database or disk is full"))
    error = RuntimeError("write failed")
    with pytest.raises(RuntimeError, match="write failed"):
        fail(tmp_path / "out", error)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StoppedError, match="free space and run again"):
        fail(tmp_path / "out", error)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder below a file cannot be made."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be made"):
        write(tmp_path / "file" / "out")


def rerun(folder: Path, names: tuple[str, ...], record: str) -> None:
    with output_folder(folder, names, overwrite=True) as output:
        for name in names:
            output.path(name).write_text(record)


def test_results_that_a_run_no_longer_has_are_removed(tmp_path: Path) -> None:
    """What only the earlier record lists goes; what it does not list, or lies elsewhere, stays."""
    folder = tmp_path / "out"
    (tmp_path / "above.txt").write_text("mine")
    rerun(
        folder,
        ("b.txt", "run.json"),
        '{"files": ["b.txt", "run.json", "gone.txt", "../above.txt", "..", "folder"]}',
    )
    (folder / "folder").mkdir()
    (folder / "mine.txt").write_text("mine")
    rerun(folder, ("a.txt", "run.json"), "{}")
    assert {p.name for p in folder.iterdir()} == {"a.txt", "run.json", "mine.txt", "folder"}
    assert (tmp_path / "above.txt").exists()


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"files": 3}', '{"files": [1]}', "null"])
def test_a_record_that_lists_nothing_removes_nothing(tmp_path: Path, record: str) -> None:
    """Whatever stands in an earlier record, the run goes on."""
    rerun(tmp_path, ("b.txt", "run.json"), record)
    rerun(tmp_path, ("a.txt", "run.json"), "{}")
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", "b.txt", "run.json"}


def test_a_failing_run_removes_nothing(tmp_path: Path) -> None:
    """Results of other names go only when the new ones are there."""
    rerun(tmp_path, ("b.txt", "run.json"), '{"files": ["b.txt", "run.json"]}')
    with pytest.raises(ValueError, match="no"):
        fail(tmp_path, ValueError("no"), overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {"b.txt", "run.json"}
