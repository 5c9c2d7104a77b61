import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rio_cogeo import cog_validate

from samdomain.cli import main
from samdomain.sam import Sam
from samdomain.testing import tiny_sam
from samdomain_geo import segment


def run(scene: object, boxes: object, out: object, *flags: str) -> int:
    words = ["segment", str(scene), "--prompts", str(boxes), "--out", str(out)]
    return main([*words, "--weights", "tiny", *flags])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_run_writes_its_files(
    scene: Path, boxes: Path, out: Path, capsys: pytest.CaptureFixture
) -> None:
    """The command exits 0 and leaves a COG, polygons with a style, a picture and a record."""
    assert run(scene, boxes, out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"]["objects"] == 3
    assert {p.name for p in out.iterdir()} == {
        "instances.tif", "polygons.gpkg", "polygons.qml", "preview.png", "run.json",
    }  # fmt: skip
    assert cog_validate(out / "instances.tif")[0]


def test_files_agree_with_one_another(scene: Path, boxes: Path, out: Path) -> None:
    """Ids, geometries, CRS and provenance are the same in raster, polygons and record."""
    result = segment(scene, prompts=boxes, out=out, weights="tiny")
    table = gpd.read_file(out / "polygons.gpkg", layer="polygons")
    with rasterio.open(out / "instances.tif") as dataset, rasterio.open(scene) as image:
        ids = dataset.read(1)
        assert (dataset.crs, dataset.transform) == (image.crs, image.transform)
        digest = dataset.tags()["SAMDOMAIN_SCENE_SHA256"]
    record = json.loads((out / "run.json").read_text())
    assert table.crs == image.crs
    assert table.geometry.dropna().is_valid.all()
    assert set(np.unique(ids)) - {0} <= set(table["id"])
    assert table["name"].tolist() == ["a", "b", "c"]
    assert table["prompt_id"].tolist() == [7, 8, 9]
    assert record["inputs"]["scene"]["sha256"] == digest
    assert record["counts"]["objects"] == len(table) == len(result.objects)
    assert record["weights"]["name"] == "tiny"


def test_two_runs_are_equal(scene: Path, boxes: Path, tmp_path: Path) -> None:
    """The same inputs give the same polygons."""
    first = segment(scene, prompts=boxes, out=tmp_path / "a", weights="tiny").objects
    again = segment(scene, prompts=boxes, out=tmp_path / "b", weights="tiny").objects
    assert first.equals(again)


def test_the_order_of_objects_changes_nothing(scene: Path, boxes: Path, tmp_path: Path) -> None:
    """The same boxes in another order give the same outlines, each under its own name."""
    gpd.read_file(boxes).iloc[::-1].to_file(tmp_path / "turned.gpkg")
    plain = segment(scene, prompts=boxes, out=tmp_path / "a", weights="tiny").objects
    turned = segment(
        scene, prompts=tmp_path / "turned.gpkg", out=tmp_path / "b", weights="tiny"
    ).objects
    assert turned["name"].tolist() == ["c", "b", "a"]
    by_name = turned.set_index("name").geometry.loc[plain["name"]]
    assert all(one.equals(other) for one, other in zip(plain.geometry, by_name, strict=True))


BAD_FLAGS: list[tuple[list[str], str]] = [
    (["--bands", "1,2,9"], "no band 9"),
    (["--bands", "1,x"], "not a list of numbers"),
    (["--bands", "1,2"], "'tiny' takes 3"),
    (["--weights", "sam_giant"], "known are"),
    (["--layer", "nope"], "no layer 'nope'"),
    (["--where", "colour = 1"], "fails"),
    (["--min-area", "-1"], "--min-area is -1"),
    (["--simplify", "inf"], "simplify"),
    (["--object-size", "0"], "--object-size is 0"),
    (["--adapter", "x"], "adapter 'x' is neither a folder nor shipped"),
    (["--nodata", "black"], "--nodata 'black' is not a number"),
    (["--nodata", "-3.4e38"], "no pixel of type uint8"),
    (["--stretch", "98,2"], "does not go from low to high"),
    (["--stretch", "-20:5,0:1"], "has 2 ranges, but 3 bands"),
    (["--format", "shp"], "known are gpkg, parquet, fgb, geojson"),
]


@pytest.mark.parametrize(("flags", "message"), BAD_FLAGS)
def test_a_bad_flag_is_one_line_and_nothing_is_written(
    scene: Path, boxes: Path, out: Path, capsys: pytest.CaptureFixture, flags: Any, message: str
) -> None:
    """Exit 2, one line on stderr, no folder."""
    assert run(scene, boxes, out, *flags) == 2
    _check_refused(capsys, message, out)


def test_bad_inputs_are_one_line_and_nothing_is_written(
    scene: Path, boxes: Path, out: Path, tmp_path: Path, write_scene: Any, capsys: Any
) -> None:
    """Missing, foreign, damaged and mismatched inputs end alike."""
    (tmp_path / "text.tif").write_text("hello")
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(scene.read_bytes()[:30_000])
    bare = write_scene(np.zeros((3, 50, 50), np.uint8), "bare.tif", crs=None)
    far = tmp_path / "far.gpkg"
    gpd.read_file(boxes).translate(1e5).to_file(far)
    for bad_scene, bad_boxes, message in (
        (tmp_path / "gone.tif", boxes, "gone.tif does not exist"),
        (tmp_path / "text.tif", boxes, "not a raster"),
        (damaged, boxes, "cut off or damaged"),
        (bare, boxes, "has no CRS"),
        (scene, tmp_path / "gone.gpkg", "gone.gpkg does not exist"),
        (scene, tmp_path / "text.tif", "not a vector file"),
        (scene, far, "none of the 3 prompts"),
    ):
        assert run(bad_scene, bad_boxes, out) == 2
        _check_refused(capsys, message, out)


def test_a_place_that_cannot_be_written_is_refused(
    scene: Path, boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """An output folder below a file is one line and exit 2."""
    (tmp_path / "file").write_text("x")
    assert run(scene, boxes, tmp_path / "file" / "out") == 2
    assert "cannot be made" in capsys.readouterr().err


def test_earlier_results_are_safe(
    scene: Path, boxes: Path, out: Path, capsys: pytest.CaptureFixture
) -> None:
    """A second run needs --overwrite, and a failing one keeps the first one's files."""
    assert run(scene, boxes, out) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert run(scene, boxes, out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(scene, boxes, out, "--overwrite", "--bands", "7") == 2
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert run(scene, boxes, out, "--overwrite") == 0


def test_another_format_replaces_the_earlier_one(scene: Path, boxes: Path, out: Path) -> None:
    """Polygons of an earlier run in another format do not stay beside those of this one."""
    assert run(scene, boxes, out) == 0
    (out / "polygons.shp").write_text("mine")
    assert run(scene, boxes, out, "--overwrite", "--format", "fgb") == 0
    assert {p.name for p in out.iterdir()} == {
        "instances.tif", "polygons.fgb", "polygons.qml", "polygons.shp", "preview.png", "run.json",
    }  # fmt: skip


def test_nodata_and_stretch_are_used_and_recorded(
    scene: Path, boxes: Path, out: Path, write_scene: Any
) -> None:
    """The record tells the flags and the stretch; objects on nodata are empty."""
    with rasterio.open(scene) as dataset:
        pixels = dataset.read().astype(np.float32)
    pixels[:, :, 55:95] = -3.4e38
    path = write_scene(pixels, "float.tif")
    flags = ["--nodata", "-3.4e38", "--stretch", "-20:300"]
    assert run(path, boxes, out, *flags) == 0
    record = json.loads((out / "run.json").read_text())
    assert record["parameters"]["nodata"] == "-3.4e38"
    assert record["parameters"]["stretch"] == "-20:300"
    assert record["stretch"] == {"low": [-20.0] * 3, "high": [300.0] * 3}
    table = gpd.read_file(out / "polygons.gpkg", layer="polygons")
    assert table["flags"][1] == "empty"


@pytest.fixture
def clicks(tmp_path: Path, pixel_box: Any) -> Path:
    """A box with a click, two clicks of one object, and a click alone, in one file."""
    points = [pixel_box(x, y, x + 1, y + 1).centroid for x, y in ((20, 20), (70, 60), (80, 70))]
    frame = gpd.GeoDataFrame(
        {"object_id": [1, 1, 2, 2, None], "label": [None, 1, 1, 0, 1], "name": list("abcde")},
        geometry=[pixel_box(10, 10, 40, 30), *points, pixel_box(120, 40, 121, 41).centroid],
        crs="EPSG:32636",
    )
    frame.to_file(tmp_path / "clicks.gpkg")
    return tmp_path / "clicks.gpkg"


def test_boxes_and_clicks_of_one_file_are_segmented(scene: Path, clicks: Path, out: Path) -> None:
    """Each object has one row, under the name of its box or of its first click."""
    assert run(scene, clicks, out, "--object-size", "10") == 0
    table = gpd.read_file(out / "polygons.gpkg", layer="polygons")
    assert table["name"].tolist() == ["a", "c", "e"]
    assert table["id"].tolist() == [1, 2, 3]


def test_clicks_are_refused_by_a_model_of_boxes_before_any_work(
    scene: Path, clicks: Path, out: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names weights that understand clicks; nothing was converted."""
    monkeypatch.setattr("samdomain_geo.verbs.segment.load_sam", lambda name: tiny_of_boxes())
    monkeypatch.delattr("samdomain_geo.verbs.segment.accelerate")
    assert run(scene, clicks, out) == 2
    _check_refused(capsys, "--weights that understand both: mobile_sam", out)


def tiny_of_boxes() -> Sam:
    """A model that was trained with boxes only, as litemedsam was."""
    sam = tiny_sam()
    sam.spec = replace(sam.spec, prompts=frozenset({"box"}))
    return sam


def test_a_scene_without_a_crs_has_no_metres(
    boxes: Path, out: Path, write_scene: Any, capsys: Any
) -> None:
    """--object-size cannot be told in pixels."""
    bare = write_scene(np.zeros((3, 50, 50), np.uint8), "bare.tif", crs=None)
    assert run(bare, boxes, out, "--object-size", "10") == 2
    _check_refused(capsys, "no CRS to tell them", out)


def _check_refused(capsys: pytest.CaptureFixture, message: str, out: Path) -> None:
    printed, err = capsys.readouterr()
    assert printed == ""
    assert message in err
    assert [line for line in err.splitlines() if "error" in line.lower()] == [err.splitlines()[-1]]
    assert err.splitlines()[-1].startswith("samdomain: error: ")
    assert not out.exists()
