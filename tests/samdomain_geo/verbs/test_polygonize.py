from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine

from samdomain.cli import main
from samdomain_geo import polygonize

NAMES = (
    "<PAMDataset><PAMRasterBand band='1'><CategoryNames><Category></Category>"
    "<Category>water</Category><Category>roof</Category></CategoryNames></PAMRasterBand>"
    "</PAMDataset>"
)


@pytest.fixture
def mask(write_scene: Any) -> Path:
    """Ten by ten pixels of 0.5 m: water on the left, a roof and a stray pixel of it."""
    values = np.zeros((1, 10, 10), np.uint8)
    values[0, :, :4] = 1
    values[0, 2:8, 4:8] = 2
    values[0, 9, 9] = 2
    path = write_scene(values, "mask.tif", nodata=255)
    path.with_suffix(".tif.aux.xml").write_text(NAMES)
    return path


def run(mask: Path, out: Path, *flags: str) -> int:
    return main(["polygonize", str(mask), "--out", str(out), *flags])


def test_regions_become_rows(mask: Path, tmp_path: Path) -> None:
    """Each region is a row with its class, the class's name and measures on the ground."""
    assert run(mask, tmp_path / "new" / "p.gpkg") == 0
    table = gpd.read_file(tmp_path / "new" / "p.gpkg", layer="polygons")
    expected = ["id", "class_id", "class_name", "area_m2", "perimeter_m", "geometry"]
    assert list(table) == expected
    found = sorted(zip(table["class_id"], table["class_name"], table["area_m2"], strict=True))
    assert [row[:2] for row in found] == [(1, "water"), (2, "roof"), (2, "roof")]
    assert [row[2] for row in found] == pytest.approx([10, 0.25, 6], rel=2e-3)
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"p.gpkg", "p.qml"}
    assert "water" in (tmp_path / "new" / "p.qml").read_text()


def test_small_regions_and_nodata_are_left_out(mask: Path, tmp_path: Path) -> None:
    """min_area drops the stray pixel; a nodata of one's own replaces that of the file and 0."""
    large = polygonize(mask, out=tmp_path / "a.fgb", min_area=1).regions
    assert sorted(large["class_id"]) == [1, 2]
    no_water = polygonize(mask, out=tmp_path / "b.geojson", nodata=1).regions
    assert set(no_water["class_id"]) == {0, 2}


def test_polygons_agree_with_the_raster(mask: Path, tmp_path: Path) -> None:
    """Painted back, the polygons are the raster that they came from."""
    table = polygonize(mask, out=tmp_path / "p.gpkg").regions
    with rasterio.open(mask) as dataset:
        pairs = zip(table.geometry, table["class_id"], strict=True)
        painted = rasterio.features.rasterize(
            pairs, dataset.shape, transform=dataset.transform, dtype="uint8"
        )
        assert (painted == dataset.read(1)).all()


def test_a_raster_of_nothing_makes_an_empty_file(write_scene: Any, tmp_path: Path) -> None:
    """No region is no error, and a mask without a CRS has no areas."""
    values = np.zeros((1, 9, 9), np.int32)
    empty = write_scene(values, "empty.tif")
    assert len(polygonize(empty, out=tmp_path / "e.gpkg", simplify=1).regions) == 0
    assert len(gpd.read_file(tmp_path / "e.gpkg", layer="polygons")) == 0
    values[0, 0, 0] = 4
    bare = write_scene(values, "bare.tif", crs=None, transform=Affine.scale(2))
    assert polygonize(bare, out=tmp_path / "f.gpkg").regions["area_m2"].isna().all()


def test_bad_input_is_one_line_and_nothing_is_written(
    mask: Path, tmp_path: Path, write_scene: Any, capsys: pytest.CaptureFixture
) -> None:
    """Missing, foreign and unfit inputs end with exit 2."""
    (tmp_path / "text.tif").write_text("hello")
    heights = write_scene(np.zeros((1, 5, 5), np.float32), "heights.tif")
    bare = write_scene(np.ones((1, 5, 5), np.uint8), "bare.tif", crs=None)
    out = tmp_path / "out" / "p.gpkg"
    for words, message in (
        ([tmp_path / "gone.tif", out], "does not exist"),
        ([tmp_path / "text.tif", out], "not a raster"),
        ([heights, out], "labels are integers"),
        ([mask, out, "--band", "2"], "no band 2"),
        ([mask, out, "--connectivity", "5"], "give 4 or 8"),
        ([mask, out, "--simplify", "-1"], "--simplify is -1"),
        ([mask, out.with_suffix(".shp")], "known are .gpkg"),
        ([mask, tmp_path], "is a folder"),
        ([bare, out, "--min-area", "1"], "no CRS"),
        ([bare, out.with_suffix(".geojson")], "no CRS"),
    ):
        assert run(words[0], words[1], *words[2:]) == 2
        printed, err = capsys.readouterr()
        assert printed == ""
        assert message in err.splitlines()[-1]
        assert not out.parent.exists()


def test_an_earlier_file_is_safe(mask: Path, tmp_path: Path, capsys: Any) -> None:
    """A file is replaced only with overwrite."""
    assert run(mask, tmp_path / "p.gpkg") == 0
    assert run(mask, tmp_path / "p.gpkg") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(mask, tmp_path / "p.gpkg", "--overwrite", "--min-area", "1") == 0
    assert len(gpd.read_file(tmp_path / "p.gpkg", layer="polygons")) == 2


def test_a_raster_too_large_for_memory_is_refused(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """The limit is told before anything is read."""
    monkeypatch.setattr("samdomain_geo.regions._MOST_PIXELS", 99)
    assert run(mask, tmp_path / "p.gpkg") == 2
    assert "10 x 10 pixels, more than" in capsys.readouterr().err
