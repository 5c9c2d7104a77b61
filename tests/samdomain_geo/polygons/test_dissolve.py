from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features

from samdomain_geo import polygonize


@pytest.fixture
def ids(write_scene: Any) -> Path:
    """Objects of several parts each, some over the edges of 512-pixel blocks."""
    coarse = np.zeros((22, 30), np.int32)
    rng = np.random.default_rng(3)
    for number in range(1, 26):
        row, column = rng.integers(0, (20, 28))
        for down, right in ((0, 0), (1, 1), (2, 1), (0, 2)):  # two that meet at a corner, one apart
            coarse[min(21, row + down), min(29, column + right)] = number * 1000
    fine = np.kron(coarse, np.ones((50, 50), np.int32))
    fine[100:700, 200:900:3] = 0
    return write_scene(fine[None], "instances.tif", nodata=0)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_value_is_one_row(ids: Path, tmp_path: Path, connectivity: int) -> None:
    """Each id is one row, whatever the blocks; painted back, the rows are the raster."""
    tables = [
        polygonize(
            ids, out=tmp_path / f"{side}.gpkg", block=side, dissolve=True, connectivity=connectivity
        ).regions
        for side in (512, 2048)
    ]
    assert (
        tables[0]
        .drop(columns=["area_m2", "perimeter_m"])
        .equals(tables[1].drop(columns=["area_m2", "perimeter_m"]))
    )
    for measure in ("area_m2", "perimeter_m"):
        assert tables[0][measure].to_numpy() == pytest.approx(tables[1][measure].to_numpy())
    with rasterio.open(ids) as dataset:
        values = dataset.read(1)
        pairs = zip(tables[0].geometry, tables[0]["id"], strict=True)
        painted = rasterio.features.rasterize(
            pairs, dataset.shape, transform=dataset.transform, dtype="int32"
        )
    assert (painted == values).all()
    assert list(tables[0]["id"]) == sorted(set(np.unique(values)) - {0})
    assert (tables[0]["id"] == tables[0]["class_id"]).all()
    assert tables[0].is_valid.all()


def test_measures_add_up(ids: Path, tmp_path: Path) -> None:
    """Area and perimeter of a row are those of its regions together; small ones are dropped."""
    regions = polygonize(ids, out=tmp_path / "a.fgb", block=512, min_area=5).regions
    rows = polygonize(ids, out=tmp_path / "b.fgb", block=512, min_area=5, dissolve=True).regions
    summed = regions.groupby("class_id")[["area_m2", "perimeter_m"]].sum()
    assert len(rows) == len(summed) < len(regions)
    for measure in summed:
        assert rows[measure].to_numpy() == pytest.approx(summed[measure].to_numpy())


def test_straightened_parts_that_meet_are_united(write_scene: Any, tmp_path: Path) -> None:
    """Parts of an object that regularizing lets overlap make one valid row with its true area."""
    values = np.zeros((1, 60, 60), np.uint8)
    rows, columns = np.mgrid[:60, :60]
    values[0][(abs(rows - 30) + abs(columns - 30) < 25)] = 7  # a diamond, cut by a crooked line
    values[0][rows + (columns % 7 > 3) == 30] = 0
    path = write_scene(values, "cut.tif")
    table = polygonize(path, out=tmp_path / "c.gpkg", dissolve=True, regularize=True).regions
    assert list(table["id"]) == [7]
    assert table.is_valid.all()
    assert table["area_m2"].to_numpy() == pytest.approx(table.area.to_numpy(), rel=3e-3)


def test_without_a_crs_there_are_no_measures(write_scene: Any, tmp_path: Path) -> None:
    """A row of several regions has no area where one of them has none."""
    values = np.zeros((1, 9, 9), np.uint8)
    values[0, 0, ::4] = 3
    bare = write_scene(values, "bare.tif", crs=None)
    polygonize(bare, out=tmp_path / "d.parquet", dissolve=True)
    table = gpd.read_parquet(tmp_path / "d.parquet")
    assert list(table["id"]) == [3]
    assert table["area_m2"].isna().all()
    assert len(table.geometry[0].geoms) == 3
