import hashlib
import os
from pathlib import Path

import pytest

from samdomain_geo.engine.identity import Identity


def test_a_copy_is_the_same(tmp_path: Path) -> None:
    """The digest is the file's own; a copy differs by its path only, whenever it was made."""
    for name, when in (("a", 1), ("b", 9)):
        (tmp_path / name).write_bytes(b"scene")
        os.utime(tmp_path / name, (when, when))
    one, other = Identity.of(tmp_path / "a"), Identity.of(tmp_path / "b")
    assert one.sha256 == other.sha256 == hashlib.sha256(b"scene").hexdigest()
    assert (one.size, one.version) == (other.size, other.version) == (5, "")


def test_all_files_count(tmp_path: Path) -> None:
    """A change of a source of a virtual raster, or of a mask beside it, is a change."""
    files = [tmp_path / "a", tmp_path / "b"]
    for path in files:
        path.write_bytes(b"one")
    before = Identity.of(files[0], map(str, files))
    files[1].write_bytes(b"two")
    assert Identity.of(files[0], map(str, files)).sha256 != before.sha256


def test_a_large_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit pieces are hashed, the last byte too, and the time of change counts."""
    monkeypatch.setattr("samdomain_geo.engine.identity._WHOLE", 1000)
    monkeypatch.setattr("samdomain_geo.engine.identity._PIECE", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(5000))
    before = Identity.of(path)
    assert before.version == str(path.stat().st_mtime_ns)
    path.write_bytes(bytes(4999) + b"x")
    assert Identity.of(path).sha256 != before.sha256


def test_what_is_no_file_has_no_digest() -> None:
    """A remote scene whose server tells nothing is known by its name alone."""
    assert Identity.of("s3://bucket/scene.tif") == Identity("s3://bucket/scene.tif", None, "", "")
