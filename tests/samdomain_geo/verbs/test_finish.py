import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from samdomain.cli import main
from samdomain_geo.engine.block_store import open_store


@pytest.fixture
def mask(write_scene: Any) -> Path:
    """Regions of random classes over four blocks."""
    classes = np.random.default_rng(5).integers(0, 4, (18, 18))
    return write_scene(np.kron(classes, np.ones((40, 40))).astype(np.uint8)[None], "mask.tif")


@pytest.fixture
def blocks(mask: Path, tmp_path: Path, capsys: Any) -> Path:
    """All blocks of a run that nobody has finished."""
    words = ["polygonize", str(mask), "--out", str(tmp_path / "p.gpkg"), "--block", "512"]
    assert main([*words, "--part", "1/1", "--quiet"]) == 0
    capsys.readouterr()
    return tmp_path / "p.gpkg.blocks"


def refused(folder: Path, code: int, message: str, capsys: Any) -> None:
    """Finishing ends with the code and one line on stderr, and nothing is lost or written."""
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    assert main(["finish", str(folder)]) == code
    printed, err = capsys.readouterr()
    assert printed == ""
    (line,) = err.splitlines()
    assert line.startswith("samdomain: error: ")
    assert message in line
    assert not (folder.parent / "p.gpkg").exists()
    after = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    assert {name: before[name] for name in after} == after


def test_stages_are_told(blocks: Path, capsys: Any) -> None:
    """Finishing tells how long it took, stage by stage."""
    assert main(["finish", str(blocks), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["seconds"]) == {"join", "write"}
    assert not blocks.exists()


def test_what_is_no_work_is_refused(tmp_path: Path, mask: Path, capsys: Any) -> None:
    """A missing folder, one of other things, and a file are told."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    for folder in (tmp_path / "gone", tmp_path / "other", mask):
        refused(folder, 2, "holds no work to go on with", capsys)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: "\ufffd" + text,
        lambda text: text.replace('"connectivity": 4', '"connectivity": 8'),
        lambda text: text.replace('"rows": 720', '"rows": "many"'),
        lambda text: text.replace('  "threads": 1,\n', ""),
    ],
    ids=["cut", "empty", "foreign", "garbled", "tampered", "mistyped", "shortened"],
)
def test_a_damaged_manifest_is_refused(blocks: Path, damage: Any, capsys: Any) -> None:
    """A manifest that is not as it was written is told from a whole one."""
    path = blocks / "manifest.json"
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    refused(blocks, 2, "is damaged, or was changed", capsys)


def test_bytes_that_are_no_text_are_refused(blocks: Path, capsys: Any) -> None:
    """A manifest of random bytes is no bug of ours."""
    (blocks / "manifest.json").write_bytes(b"\xff\xfe\x00" * 40)
    refused(blocks, 2, "is damaged", capsys)


def test_a_torn_block_is_missing(blocks: Path, capsys: Any) -> None:
    """A torn block is removed and counted as missing; the run computes it again."""
    path = blocks / "0000002.block"
    path.write_bytes(path.read_bytes()[:-5])
    refused(blocks, 3, "1 of 4 blocks are missing", capsys)
    assert not path.exists()


def test_a_scene_that_is_gone_or_changed_is_told(blocks: Path, mask: Path, capsys: Any) -> None:
    """Polygons of one raster are not finished with another; put back, it goes on."""
    whole = mask.read_bytes()
    mask.unlink()
    refused(blocks, 2, "does not exist", capsys)
    mask.write_bytes(whole)
    with rasterio.open(mask, "r+") as dataset:
        dataset.write(np.ones((1, 1), np.uint8) * 9, 1, window=((0, 1), (0, 1)))
    refused(blocks, 2, "has changed since the work began", capsys)
    mask.write_bytes(whole)
    assert main(["finish", str(blocks)]) == 0


def test_work_of_an_unknown_verb_is_refused(blocks: Path, capsys: Any) -> None:
    """A folder of a verb that this version lacks is named."""
    manifest = replace(open_store(blocks).manifest, verb="levitate")
    (blocks / "manifest.json").write_text(manifest.to_json())
    refused(blocks, 2, "'levitate', which this version lacks", capsys)


def test_nothing_is_finished_twice(blocks: Path, capsys: Any) -> None:
    """Of a folder that was finished meanwhile nothing is left to finish."""
    assert main(["finish", str(blocks)]) == 0
    capsys.readouterr()
    assert main(["finish", str(blocks)]) == 2
    assert "holds no work" in capsys.readouterr().err
