from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.data import Labels
from samdomain_geo.scenes.raster import open_scene

WHOLE = Window(0, 0, 192, 128)


def burnt(land: Path, labels: Labels, window: Window = WHOLE) -> np.ndarray:
    with open_scene(land) as scene:
        return labels.over(scene).burn(window)


def expected() -> np.ndarray:
    """What a hand paints: the smaller box lies on the larger one."""
    classes = np.zeros((128, 192), np.uint8)
    classes[10:40, 10:50] = 1
    classes[60:120, 100:180] = 1
    classes[20:35, 30:45] = 2
    return classes


@pytest.mark.parametrize("crs", [4326, 3857, None])
def test_polygons_of_any_crs_are_burnt(
    land: Path, write_labels: Callable[..., Path], crs: int | None
) -> None:
    """Classes come by their names in order, with the background first."""
    labels = Labels(write_labels(crs), "kind")
    assert labels.names() == ("background", "field", "water")
    wrong = (burnt(land, labels) != expected()).mean()
    assert wrong < 0.002  # borders are on pixel edges, which other CRSs move by a hair


def test_a_window_is_a_part_of_the_whole(land: Path, write_labels: Callable[..., Path]) -> None:
    """Wherever the chip lies."""
    labels = Labels(write_labels(None), "kind")
    part = burnt(land, labels, Window(25, 15, 40, 30))
    assert np.array_equal(part, expected()[15:45, 25:65])


def test_unlabelled_pixels_may_be_ignored(land: Path, write_labels: Callable[..., Path]) -> None:
    """Then there is no background, and classes begin with 0."""
    labels = Labels(write_labels(None), "kind", unlabelled="ignore")
    assert labels.names() == ("field", "water")
    values = expected().astype(int) - 1
    assert np.array_equal(burnt(land, labels), np.where(values < 0, 255, values))


def test_without_a_column_all_are_objects(land: Path, write_labels: Callable[..., Path]) -> None:
    """There are two classes then."""
    labels = Labels(write_labels(None))
    assert labels.names() == ("background", "object")
    assert np.array_equal(burnt(land, labels), (expected() > 0).astype(np.uint8))


def test_classes_may_be_named_in_another_order(write_labels: Callable[..., Path]) -> None:
    """Numbers are names too, and sort as numbers."""
    path = write_labels(None, code=[10.0, 9.0, 10.0])
    assert Labels(path, "code").names() == ("background", "9", "10")
    assert Labels(path, "kind", ("water", "field")).names() == ("background", "water", "field")


def test_points_and_empty_rows_are_left_out(
    land: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told of."""
    x, y = 500_010.0, 29_990.0
    shapes = [shapely.box(x, y - 5, x + 5, y), shapely.Point(x, y), None]
    frame = gpd.GeoDataFrame({"kind": ["a", "a", "a"]}, geometry=shapes, crs="EPSG:32636")
    frame.to_file(tmp_path / "mixed.geojson")
    values = burnt(land, Labels(tmp_path / "mixed.geojson", "kind"))
    assert (values == 1).sum() == 100
    assert "are no polygons" in caplog.text


def test_wrong_files_are_one_line(
    land: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """Each says what to do."""
    path = write_labels(None)
    with pytest.raises(InputError, match="does not exist"):
        burnt(land, Labels(tmp_path / "none.gpkg"))
    with pytest.raises(InputError, match=r"no column 'sort': it has kind"):
        Labels(path, "sort").names()
    with pytest.raises(InputError, match="rows of 'water'"):
        burnt(land, Labels(path, "kind", ("field",)))
    with pytest.raises(InputError, match="all else is ignored"):
        Labels(path, unlabelled="ignore").names()
    with pytest.raises(InputError, match="rows have no class"):
        Labels(write_labels(None, kind=["field", None, "field"]), "kind").names()
    with pytest.raises(InputError, match="no column says which row"):
        Labels(path, classes=("field", "water")).names()
    (tmp_path / "text.gpkg").write_text("no polygons")
    with pytest.raises(InputError, match="cannot be read as a vector file"):
        burnt(land, Labels(tmp_path / "text.gpkg"))


@pytest.mark.parametrize("shapes", [[], [None, None]])
def test_files_without_a_polygon_are_refused(land: Path, tmp_path: Path, shapes: list) -> None:
    """No row, or rows without a geometry."""
    frame = gpd.GeoDataFrame({"kind": ["a"] * len(shapes)}, geometry=shapes, crs="EPSG:32636")
    frame.to_file(tmp_path / "empty.gpkg")
    with pytest.raises(InputError, match="no row with a geometry"):
        burnt(land, Labels(tmp_path / "empty.gpkg"))


def test_a_condition_that_nothing_meets_is_told(write_labels: Callable[..., Path]) -> None:
    """Its words are in the message."""
    labels = Labels(write_labels(None), "kind", where="kind = 'sand'")
    with pytest.raises(InputError, match="no rows that meet \"kind = 'sand'\""):
        labels.names()


def test_a_layer_is_not_guessed(land: Path, write_labels: Callable[..., Path]) -> None:
    """Where a file has several, one is named."""
    path = write_labels(None)
    gpd.read_file(path).iloc[:1].to_file(path, layer="first")
    with pytest.raises(InputError, match="2 layers: choose one with --layer; they are labels, fir"):
        burnt(land, Labels(path, "kind"))
    assert burnt(land, Labels(path, "kind", layer="first")).any()
    assert Labels(path, "kind", layer="first").names() == ("background", "field")


def test_geoparquet_is_read_too(
    land: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """In any CRS; rows far away are left out. It has no layers to choose from."""
    path, frame = tmp_path / "labels.parquet", gpd.read_file(write_labels(4326))
    far = frame.iloc[:1].assign(geometry=[shapely.box(0, 50, 1, 51)])
    pd.concat([frame, far]).to_parquet(path)
    labels = Labels(path, "kind")
    assert labels.names() == ("background", "field", "water")
    assert (burnt(land, labels) != expected()).mean() < 0.002
    with open_scene(land) as scene:
        assert len(labels.over(scene).shapes) == 3
    with pytest.raises(InputError, match=r"no column 'sort': it has kind"):
        Labels(path, "sort").names()
    with pytest.raises(InputError, match="which layer and where cannot choose from"):
        Labels(path, "kind", layer="labels").names()
