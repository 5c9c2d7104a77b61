import json
from pathlib import Path

from samdomain_geo.record import Stopwatch, identify, write_record


def test_record_tells_versions_and_content(tmp_path: Path) -> None:
    """run.json holds its schema, date and versions beside what the run adds."""
    write_record(tmp_path / "run.json", "segment", {"inputs": {"a": tmp_path}})
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["schema"] == 1
    assert record["verb"] == "segment"
    assert {"samdomain", "torch", "gdal"} <= record["versions"].keys()
    assert record["inputs"]["a"] == str(tmp_path)


def test_inputs_are_identified_by_content(tmp_path: Path) -> None:
    """A file has the digest of its content; what is no file has none."""
    (tmp_path / "x").write_bytes(b"abc")
    assert identify(tmp_path / "x")["sha256"].startswith("ba7816bf")
    assert identify(Path("https://example.org/x.tif"))["sha256"] is None


def test_laps_add_up_by_stage() -> None:
    """Each stage has its own time, which is not negative."""
    clock = Stopwatch()
    clock.lap("a")
    clock.lap("b")
    assert list(clock.seconds) == ["a", "b"]
    assert min(clock.seconds.values()) >= 0
