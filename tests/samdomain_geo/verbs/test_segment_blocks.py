import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest

from samdomain.cli import main

DATED = ("instances.tif", "polygons.gpkg", "polygons.qml", "preview.png")


@pytest.fixture(autouse=True)
def date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin every run at the same time."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")


@pytest.fixture
def wide(write_scene: Any) -> Path:
    """A scene of 700 x 1300 pixels: two rows of three blocks."""
    rng = np.random.default_rng(0)
    return write_scene(rng.integers(0, 255, (3, 700, 1300), dtype=np.uint8), "wide.tif")


@pytest.fixture
def many(tmp_path: Path, pixel_box: Any) -> Path:
    """Thirty boxes, over four of the blocks and across their edges."""
    rng = np.random.default_rng(1)
    corners = rng.uniform((0, 0), (1000, 640), (30, 2))
    sides = rng.uniform(10, 60, (30, 2))
    boxes = [pixel_box(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)]
    gpd.GeoDataFrame(geometry=boxes, crs="EPSG:32636").to_file(tmp_path / "many.gpkg")
    return tmp_path / "many.gpkg"


def words(scene: Path, prompts: Path, out: Path, *flags: str) -> list[str]:
    own = ["--prompts", str(prompts), "--out", str(out), "--weights", "tiny"]
    return ["segment", str(scene), *own, *flags]


def content(out: Path) -> dict[str, bytes]:
    """Return the files whose bytes must repeat, and check that no others but the record are."""
    assert {path.name for path in out.iterdir()} == {*DATED, "run.json"}
    return {name: (out / name).read_bytes() for name in DATED}


@pytest.fixture
def whole(wide: Path, many: Path, tmp_path: Path) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    assert main(words(wide, many, tmp_path / "whole", "--block", "512")) == 0
    return content(tmp_path / "whole")


def test_blocks_change_nothing(wide: Path, many: Path, tmp_path: Path, whole: Any) -> None:
    """Blocks of any size make the same bytes."""
    assert main(words(wide, many, tmp_path / "out", "--block", "2048")) == 0
    assert content(tmp_path / "out") == whole


def test_parts_and_finish_make_the_files(
    wide: Path, many: Path, tmp_path: Path, whole: Any, capsys: Any
) -> None:
    """Jobs of an array do their blocks; finish takes the folder of the results as well."""
    out = tmp_path / "out"
    assert main(words(wide, many, out, "--block", "512", "--part", "2/2")) == 0
    assert main(["finish", str(out)]) == 3
    assert "blocks are missing" in capsys.readouterr().err
    assert main(words(wide, many, out, "--block", "512", "--part", "1/2")) == 0
    assert main(["finish", str(out)]) == 0
    assert content(out) == whole


def test_a_killed_run_goes_on(wide: Path, many: Path, tmp_path: Path, whole: Any) -> None:
    """Killed after its first block and resumed, a run writes the bytes of one that was not."""
    out = tmp_path / "out"
    command = words(wide, many, out, "--block", "512")
    process = subprocess.Popen([sys.executable, "-m", "samdomain", *command])
    while not list(out.glob(".blocks/*.block")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (out / "run.json").exists()
    assert main([*command, "--resume"]) == 0
    assert content(out) == whole
    assert main([*command, "--resume"]) == 0  # nothing is left to do


def test_only_the_same_run_is_gone_on_with(
    wide: Path, many: Path, tmp_path: Path, capsys: Any
) -> None:
    """Other prompts, flags or threads would make other blocks: each is named and refused."""
    out = tmp_path / "out"
    begun = words(wide, many, out, "--block", "512", "--threads", "1")
    assert main([*begun, "--part", "1/2"]) == 0
    assert main(begun) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*begun, "--resume", "--stretch", "1,99"]) == 2
    assert "parameters.stretch was None and is '1,99'" in capsys.readouterr().err
    assert main([*begun, "--resume", "--threads", "2"]) == 2
    assert "threads was 1 and is 2" in capsys.readouterr().err
    gpd.read_file(many).iloc[1:].to_file(many)
    assert main([*begun, "--resume"]) == 2
    assert "inputs.prompts.sha256" in capsys.readouterr().err
    assert main([*begun, "--overwrite"]) == 0


def test_threads_of_a_run_stay(wide: Path, many: Path, tmp_path: Path) -> None:
    """A run that goes on without the flag keeps the threads that it began with."""
    out = tmp_path / "out"
    assert main(words(wide, many, out, "--block", "512", "--threads", "1", "--part", "1/2")) == 0
    assert main(words(wide, many, out, "--block", "512", "--resume")) == 0
    assert json.loads((out / "run.json").read_text())["threads"] == 1


def test_a_dry_run_does_nothing(wide: Path, many: Path, tmp_path: Path, capsys: Any) -> None:
    """It tells blocks with objects, bytes, memory and seconds, and leaves no file."""
    before = set(tmp_path.iterdir())
    command = words(wide, many, tmp_path / "out", "--block", "512", "--dry-run", "--json")
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert 2 <= told["blocks"] <= 4
    assert min(told["bytes of blocks"], told["bytes of memory"], told["seconds"] + 1) > 0
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "flags",
    [["--block", "100"], ["--threads", "0"], ["--workers", "0"], ["--part", "3/2"]],
    ids=" ".join,
)
def test_a_bad_flag_leaves_nothing(wide: Path, many: Path, tmp_path: Path, flags: Any) -> None:
    """Flags of the run are checked before any work."""
    assert main(words(wide, many, tmp_path / "out", *flags)) == 2
    assert not (tmp_path / "out").exists()
