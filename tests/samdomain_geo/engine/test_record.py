import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from samdomain_geo.engine.plan import Tiling, software
from samdomain_geo.engine.record import Stopwatch, write_record


def test_record_tells_versions_and_content(tmp_path: Path, scene: Path, plan: Any) -> None:
    """run.json holds its schema, and the run's date and versions, beside what the run adds."""
    manifest = replace(plan(scene, Tiling(512)), versions=software())
    write_record(tmp_path / "run.json", manifest, {"inputs": {"a": tmp_path}})
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["schema"], record["verb"], record["date"]) == (1, "test", manifest.date)
    assert {"samdomain", "torch", "gdal"} <= record["versions"].keys()
    assert record["inputs"]["a"] == str(tmp_path)


def test_laps_add_up_by_stage() -> None:
    """Each stage has its own time, which is not negative."""
    clock = Stopwatch()
    clock.lap("a")
    clock.lap("b")
    assert list(clock.seconds) == ["a", "b"]
    assert min(clock.seconds.values()) >= 0
