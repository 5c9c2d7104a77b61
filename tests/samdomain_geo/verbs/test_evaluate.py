import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from rio_cogeo.cogeo import cog_validate

from samdomain.cli import main
from samdomain.errors import InputError
from samdomain_geo import evaluate

NAMES = (
    "<PAMDataset><PAMRasterBand band='1'><CategoryNames><Category></Category>"
    "<Category>water</Category><Category>roof &lt;b&gt;</Category></CategoryNames>"
    "</PAMRasterBand></PAMDataset>"
)
PLACE = Affine.translation(500_000, 30_000) @ Affine.scale(0.5, -0.5)


@pytest.fixture
def mask(write_scene: Any) -> Path:
    """Ten by ten pixels of 0.5 m: four columns of water, a roof of 6 x 4, nodata at the right."""
    values = np.zeros((1, 10, 10), np.uint8)
    values[0, :, :4] = 1
    values[0, 2:8, 4:8] = 2
    values[0, :, 9] = 255
    path = write_scene(values, "mask.tif", nodata=255)
    path.with_suffix(".tif.aux.xml").write_text(NAMES)
    return path


@pytest.fixture
def truth(write_scene: Any) -> Path:
    """The same, but that the roof is one column further to the right, and one row is unknown."""
    values = np.full((1, 10, 10), 0, np.uint8)
    values[0, :, :4] = 1
    values[0, 2:8, 5:9] = 2
    values[0, 0] = 99
    return write_scene(values, "truth.tif", nodata=99)


@pytest.fixture
def write_shapes(tmp_path: Path) -> Any:
    def write(
        shapes: list, name: str = "truth.gpkg", crs: Any = "EPSG:4326", **columns: Any
    ) -> Path:
        table = gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32636")
        table.to_crs(crs).to_file(tmp_path / name)
        return tmp_path / name

    return write


def run(predicted: Path, true: Path, *flags: object) -> int:
    return main(["evaluate", str(predicted), "--truth", str(true), *map(str, flags)])


def test_rasters_are_compared(mask: Path, truth: Path, tmp_path: Path) -> None:
    """The figures are those by hand, and a GIS sees where the map is wrong."""
    found = evaluate(mask, truth=truth)
    folder = tmp_path / "evaluation"
    assert found.folder == folder
    assert {path.name for path in folder.iterdir()} == set(found.files)
    metrics = json.loads((folder / "metrics.json").read_text())
    # 9 rows of 9 columns; in 6 of them one pixel of roof is too much and one is missing.
    assert metrics["compared_pixels"] == 81
    assert metrics["overall"]["overall_accuracy"] == pytest.approx(69 / 81)
    roof = metrics["classes"]["2"]
    assert roof["name"] == "roof <b>"
    assert (roof["iou"], roof["precision"], roof["recall"]) == pytest.approx((18 / 30, 0.75, 0.75))
    assert metrics["confusion"]["pixels"] == [[15, 0, 6], [0, 36, 0], [6, 0, 18]]
    with (folder / "confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["truth \\ prediction", "0", "1 water", "2 roof <b>"]
    assert rows[3] == ["2 roof <b>", "6", "0", "18"]
    with rasterio.open(folder / "errors.tif") as dataset:
        verdict = dataset.read(1)
        assert dataset.nodata == 255
        assert dataset.colormap(1)[1] == (208, 28, 39, 255)
        assert dataset.crs == "EPSG:32636"
    assert (verdict == 1).sum() == 12
    assert (verdict == 255).sum() == 19
    assert cog_validate(folder / "errors.tif", quiet=True)[0]


def test_the_map_gives_the_weights(mask: Path, truth: Path, tmp_path: Path) -> None:
    """Areas are those of the whole map, in square metres; a perfect map keeps its own."""
    metrics = evaluate(mask, truth=truth, out=tmp_path / "a").metrics["area_adjusted"]
    water = metrics["classes"]["1"]
    assert water["mapped_area_m2"] == pytest.approx(40 * 0.25, rel=2e-3)
    assert water["area_m2"]["value"] == pytest.approx(40 * 0.25, rel=2e-3)
    # Of the 24 mapped pixels of roof 18 are roof, as are 6 of the 21 compared of the other 26.
    roof = 90 * 0.25 * (24 / 90 * 18 / 24 + 26 / 90 * 6 / 21)
    assert metrics["classes"]["2"]["area_m2"]["value"] == pytest.approx(roof, rel=2e-3)
    assert "covers a part" in metrics["note"]
    same = evaluate(mask, truth=mask, out=tmp_path / "b")
    assert set(same.headline.values()) == {1.0}
    assert "Every pixel" in same.metrics["area_adjusted"]["note"]


def test_a_truth_on_another_grid_is_brought_over(
    mask: Path, truth: Path, write_scene: Any, tmp_path: Path
) -> None:
    """Cut finer, extended, and with a border, the truth gives the same figures."""
    expected = evaluate(mask, truth=truth, out=tmp_path / "a").metrics
    with rasterio.open(truth) as dataset:
        values = dataset.read()
    finer = np.pad(np.kron(values, np.ones((1, 3, 3), np.uint8)), ((0, 0), (6, 0), (9, 6)))
    place = PLACE @ Affine.scale(1 / 3) @ Affine.translation(-9, -6)
    other = write_scene(finer, "finer.tif", nodata=99, transform=place)
    found = evaluate(mask, truth=other, out=tmp_path / "b")
    assert found.metrics["confusion"] == expected["confusion"]
    assert "nearest" in found.notes[0]


def test_a_truth_in_another_crs_is_brought_over(write_scene: Any, tmp_path: Path) -> None:
    """Fine truth in degrees equals that in metres but for pixels along borders."""
    y, x = np.mgrid[:200, :200] / 200
    values = (np.hypot(x - 0.4, y - 0.5) < 0.3).astype(np.uint8)[None]
    mask = write_scene(values, "mask.tif")
    with rasterio.open(mask) as dataset:
        bounds = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    place = rasterio.transform.from_bounds(*bounds, 600, 600)
    moved = np.zeros((600, 600), np.uint8)
    rasterio.warp.reproject(
        values[0], moved, src_transform=PLACE, src_crs="EPSG:32636", dst_transform=place,
        dst_crs="EPSG:4326",
    )  # fmt: skip
    truth = write_scene(moved[None], "truth.tif", crs="EPSG:4326", transform=place)
    found = evaluate(mask, truth=truth, out=tmp_path / "a")
    assert found.headline["overall_accuracy"] > 0.995


def test_an_ignored_class_does_not_count(mask: Path, truth: Path, tmp_path: Path) -> None:
    """It is left out on either side."""
    metrics = evaluate(mask, truth=truth, ignore=2, out=tmp_path / "a").metrics
    assert set(metrics["classes"]) == {"0", "1"}
    assert metrics["compared_pixels"] == 15 + 36


def test_numbers_that_differ_are_told(mask: Path, write_scene: Any, tmp_path: Path) -> None:
    """A map of 0 and 1 against a truth of 0 and 200 is likely a mistake, and the report says so."""
    values = np.zeros((1, 10, 10), np.uint8)
    values[0, 2:8, 4:8] = 200
    found = evaluate(mask, truth=write_scene(values, "t.tif"), out=tmp_path / "a")
    assert "the map has 0, 1, 2 and the truth 0, 200. Do the numbers" in found.notes[-1]
    assert not evaluate(mask, truth=mask, out=tmp_path / "b").notes


def test_buildings_are_truth_for_a_mask(
    mask: Path, write_shapes: Any, pixel_box: Any, tmp_path: Path
) -> None:
    """Polygons of one class are all there is: the rest is background, unless it is unknown."""
    roofs = write_shapes([pixel_box(4, 2, 8, 8), None], kind=["roof <b>", "roof <b>"])
    found = evaluate(mask, truth=roofs, class_column="kind", out=tmp_path / "a")
    assert found.metrics["classes"]["2"]["iou"] == 1
    assert found.metrics["classes"]["1"]["iou"] == 0
    assert found.metrics["compared_pixels"] == 90
    assert "is class 0" in found.notes[0]
    unknown = evaluate(
        mask, truth=roofs, class_column="kind", background="none", out=tmp_path / "b"
    )
    assert unknown.metrics["compared_pixels"] == 24


def test_samples_are_truth_for_a_map(
    mask: Path, write_shapes: Any, pixel_box: Any, tmp_path: Path
) -> None:
    """Points say nothing about the rest of the map, whose areas are the weights."""
    pixels = [(0, 0), (1, 5), (5, 3), (5, 5), (8, 0)]
    points = [pixel_box(x, y, x + 1, y + 1).centroid for x, y in pixels]
    path = write_shapes(points, class_id=[1, 1, 2, 1, 0])
    metrics = evaluate(mask, truth=path, out=tmp_path / "a").metrics
    assert metrics["compared_pixels"] == 5
    assert metrics["confusion"]["pixels"] == [[1, 0, 0], [0, 2, 1], [0, 0, 1]]
    adjusted = metrics["area_adjusted"]
    assert adjusted["classes"]["2"]["share"]["value"] == pytest.approx(24 / 90 / 2)
    assert adjusted["overall_accuracy"]["value"] == pytest.approx((26 + 40 + 12) / 90)


def test_polygons_are_judged_by_a_raster(
    truth: Path, write_shapes: Any, pixel_box: Any, tmp_path: Path
) -> None:
    """Predicted polygons are painted on the truth's grid, with the background between them."""
    ours = write_shapes(
        [pixel_box(0, 0, 4, 10), pixel_box(4, 2, 8, 8)], "polygons.gpkg", class_id=[1, 2]
    )
    metrics = evaluate(ours, truth=truth, out=tmp_path / "a").metrics
    assert metrics["confusion"]["pixels"] == [[24, 0, 6], [0, 36, 0], [6, 0, 18]]
    with rasterio.open(tmp_path / "a" / "errors.tif") as dataset:
        assert dataset.shape == (10, 10)


@pytest.fixture
def polygons(write_shapes: Any, pixel_box: Any) -> tuple[Path, Path]:
    """Two found objects, one invented, one missed, one row without geometry."""
    ours = write_shapes(
        [pixel_box(0, 0, 20, 20), pixel_box(41, 0, 61, 20), pixel_box(80, 0, 90, 9), None],
        "polygons.gpkg",
        "EPSG:32636",
        id=[4, 5, 6, 7],
        class_id=[1, 2, 2, 2],
        class_name=["roof", "<i>shed", "<i>shed", "<i>shed"],
        score=[0.9, 0.8, 0.3, None],
    )
    theirs = write_shapes(
        [pixel_box(0, 0, 20, 20), pixel_box(40, 0, 60, 20), pixel_box(0, 50, 9, 59)],
        kind=["roof", "<i>shed", "roof"],
    )
    return ours, theirs


def test_polygons_are_compared(polygons: tuple[Path, Path], tmp_path: Path) -> None:
    """Each polygon has its verdict in a table and in a styled layer."""
    found = evaluate(*polygons[:1], truth=polygons[1], out=tmp_path / "a")
    metrics = found.metrics["overall"]
    assert (metrics["found"], metrics["invented"], metrics["missed"]) == (2, 1, 1)
    assert metrics["f1"] == pytest.approx(2 / 3)
    assert metrics["ap50"] == pytest.approx(67 / 101)
    assert found.notes[0] == "polygons.gpkg: rows without geometry, left out: 1."
    assert "outside the bounds of the truth: 1;" in found.notes[1]
    rows = pd.read_csv(tmp_path / "a" / "objects.csv")
    assert sorted(rows["verdict"]) == ["FN", "FP", "TP", "TP", "TP", "TP"]
    assert rows.loc[1, "iou"] == pytest.approx(19 / 21, rel=1e-3)
    errors = gpd.read_file(tmp_path / "a" / "errors.gpkg", layer="errors")
    assert sorted(errors["verdict"]) == ["FN", "FP", "TP", "TP"]
    assert errors.crs == "EPSG:32636"
    with sqlite3.connect(tmp_path / "a" / "errors.gpkg") as database:
        ((name, qml),) = database.execute("SELECT f_table_name, styleQML FROM layer_styles")
    database.close()
    assert name == "errors"
    assert qml == (tmp_path / "a" / "errors.qml").read_text()
    assert "&quot;verdict&quot; = 'FN'" in qml


def test_the_area_that_was_mapped_counts(
    polygons: tuple[Path, Path], write_scene: Any, tmp_path: Path
) -> None:
    """Polygons are cut to the extent of a raster or to polygons, and those outside left out."""
    scene = write_scene(np.zeros((1, 30, 50), np.uint8))
    gpd.GeoDataFrame(
        geometry=[shapely.box(500_000, 29_985, 500_025, 30_000)], crs="EPSG:32636"
    ).to_crs("EPSG:4326").to_file(tmp_path / "area.geojson")
    for number, area in enumerate((scene, tmp_path / "area.geojson")):
        found = evaluate(*polygons[:1], truth=polygons[1], area=area, out=tmp_path / str(number))
        # The second pair is cut to 9 and 10 of its 20 columns; the others lie outside.
        assert (found.headline["precision"], found.headline["recall"]) == (1, 1)
        rows = pd.read_csv(tmp_path / str(number) / "objects.csv")
        assert rows.loc[1, "iou"] == pytest.approx(0.9, rel=1e-3)
        assert any("outside the area, left out: 1" in note for note in found.notes)


def test_polygons_are_compared_by_class(polygons: tuple[Path, Path], tmp_path: Path) -> None:
    """By class each class has its figures, by the names that both sides give."""
    found = evaluate(
        polygons[0], truth=polygons[1], by="class", class_column="kind", out=tmp_path / "a"
    )
    figures = {one["name"]: one for one in found.metrics["classes"].values()}
    assert (figures["roof"]["precision"], figures["roof"]["recall"]) == (1, 0.5)
    assert (figures["<i>shed"]["precision"], figures["<i>shed"]["recall"]) == (0.5, 1)
    page = (tmp_path / "a" / "report.html").read_text()
    assert "&lt;i&gt;shed" in page
    assert "<i>" not in page


def test_empty_layers_have_figures(
    polygons: tuple[Path, Path], truth: Path, write_shapes: Any, tmp_path: Path
) -> None:
    """Nothing predicted is a recall of 0 and no precision, against polygons and pixels."""
    none = write_shapes([], "none.gpkg")
    missed = evaluate(none, truth=polygons[1], out=tmp_path / "a").headline
    assert (missed["precision"], missed["recall"], missed["f1"]) == (None, 0, 0)
    nothing = evaluate(none, truth=none, out=tmp_path / "b").headline
    assert set(nothing.values()) == {None}
    pixels = evaluate(none, truth=truth, out=tmp_path / "c")
    assert pixels.metrics["classes"]["2"]["recall"] == 0


def test_a_folder_of_results_is_evaluated(
    mask: Path, truth: Path, tmp_path: Path, capsys: Any
) -> None:
    """The folder that segment wrote stands for its mask, and holds the evaluation."""
    folder = tmp_path / "result"
    folder.mkdir()
    mask.rename(folder / "mask.tif")
    assert run(folder, truth) == 0
    assert (folder / "evaluation" / "report.html").exists()
    assert "overall_accuracy" in capsys.readouterr().out
    assert run(folder, truth) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(folder, truth, "--overwrite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean_iou"] > 0


def test_the_report_shows_pictures_and_tables(mask: Path, truth: Path, tmp_path: Path) -> None:
    """The page has the matrix, the map and its worst places, and names as they are."""
    evaluate(mask, truth=truth, out=tmp_path / "a")
    page = (tmp_path / "a" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "roof &lt;b&gt;" in page
    assert "Olofsson" in page


def test_bad_input_is_one_line_and_nothing_is_written(
    mask: Path, truth: Path, polygons: Any, write_scene: Any, tmp_path: Path, capsys: Any
) -> None:
    """Missing, foreign, unfit and contradictory inputs end with exit 2."""
    away = write_scene(np.ones((1, 5, 5), np.uint8), "away.tif", transform=Affine.scale(5))
    bare = write_scene(np.ones((1, 5, 5), np.uint8), "bare.tif", crs=None)
    heights = write_scene(np.zeros((1, 10, 10), np.float32), "heights.tif")
    (tmp_path / "text.tif").write_text("hello")
    far = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32636")
    far.to_file(tmp_path / "far.gpkg")
    out = tmp_path / "out"
    for words, message in (
        ([mask, tmp_path / "gone.tif"], "does not exist"),
        ([tmp_path / "text.tif", truth], "not a raster"),
        ([mask, heights], "labels are integers"),
        ([mask, away], "do not overlap"),
        ([mask, bare], "no CRS"),
        ([mask, tmp_path / "far.gpkg"], "far.gpkg"),
        ([polygons[0], tmp_path / "far.gpkg"], "do not overlap"),
        ([mask, truth, "--by", "klass"], "klass"),
        ([mask, truth, "--block", "100"], "--block is 100"),
        ([mask, truth, "--background", "0"], "--background is about a vector file"),
        ([mask, truth, "--class-column", "a"], "--class-column is about a vector file"),
        ([*polygons, "--ignore", "0"], "--ignore is about rasters"),
        ([mask, truth, "--area", mask], "--area is about two vector files"),
        ([*polygons, "--iou", "0"], "--iou is 0"),
        ([*polygons, "--tolerance", "-1"], "--tolerance is -1"),
        ([*polygons, "--class-column", "colour"], "no column 'colour'"),
        ([*polygons, "--layer", "roofs"], "no layer 'roofs'"),
        ([mask, polygons[1], "--class-column", "kind"], "does not name"),
        ([mask, polygons[1], "--background", "some"], "some"),
    ):
        assert run(words[0], words[1], "--out", out, *words[2:]) == 2, message
        printed, err = capsys.readouterr()
        assert printed == ""
        (line,) = err.splitlines()
        assert message in line
        assert not out.exists()
    with pytest.raises(InputError, match="--by is 'klass'"):
        evaluate(mask, truth=truth, by="klass")  # pyright: ignore[reportArgumentType]


def test_a_folder_is_compared_as_the_truth_is(
    mask: Path, polygons: tuple[Path, Path], tmp_path: Path, capsys: Any
) -> None:
    """Polygons against polygons although there is a mask; the summary says so."""
    folder = tmp_path / "result"
    folder.mkdir()
    mask.rename(folder / "mask.tif")
    polygons[0].rename(folder / "polygons.gpkg")
    found = evaluate(folder, truth=polygons[1])
    assert found.metrics["overall"]["found"] == 2
    assert "because the truth is polygons" in found.notes[0]
    assert "because the truth is polygons" in found.summary()["notes"]
    assert "because the truth is polygons" in (folder / "evaluation/report.html").read_text()
    assert run(folder, polygons[1], "--background", 0, "--overwrite") == 2
    assert "name a raster, as the mask.tif of a folder" in capsys.readouterr().err
    assert run(folder / "mask.tif", polygons[1], "--background", 0, "--out", tmp_path / "a") == 0
