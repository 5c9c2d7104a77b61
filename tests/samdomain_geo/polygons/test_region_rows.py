from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest

from samdomain_geo import polygonize


def table(values: np.ndarray, write_scene: Any, tmp_path: Path, **flags: Any) -> gpd.GeoDataFrame:
    mask = write_scene(values[None], "values.tif")
    return polygonize(mask, out=tmp_path / "v.gpkg", block=512, **flags).regions


def test_an_object_over_four_blocks_is_one_polygon(write_scene: Any, tmp_path: Path) -> None:
    """A building with a court on the corner of four blocks is one row with its hole and no seam."""
    values = np.zeros((1024, 1024), np.uint8)
    values[462:562, 412:612] = 1
    values[502:522, 502:522] = 0
    rows = table(values, write_scene, tmp_path)
    assert len(rows) == 1
    (building,) = rows.geometry[0].geoms
    assert len(building.interiors) == 1
    assert len(building.exterior.coords) == len(building.interiors[0].coords) == 5
    assert building.area == (100 * 200 - 20 * 20) / 4


def test_parts_join_by_a_way_round(write_scene: Any, tmp_path: Path) -> None:
    """Arms of a U that meet only two blocks on are one region, from either side."""
    values = np.zeros((1100, 600), np.uint8)
    values[:1090, 100:120] = 7
    values[:1090, 520:540] = 7
    values[1080:1090, 100:540] = 7
    assert table(values, write_scene, tmp_path)["class_id"].tolist() == [7]


@pytest.mark.parametrize(("connectivity", "count"), [(4, 2), (8, 1)])
def test_corners_meet_across_blocks(
    write_scene: Any, tmp_path: Path, connectivity: int, count: int
) -> None:
    """On the corner of four blocks diagonal pixels join with 8 neighbours only."""
    for turned in (False, True):
        values = np.zeros((600, 600), np.uint8)
        values[511, 511] = values[512, 512] = 1
        values = values[:, ::-1] if turned else values
        values = np.roll(values, (0, 424 if turned else 0), (0, 1))
        folder = tmp_path / str(turned)
        folder.mkdir()
        found = table(values, write_scene, folder, connectivity=connectivity)
        assert len(found) == count
        assert found.is_valid.all()


def test_ids_follow_first_pixels(write_scene: Any, tmp_path: Path) -> None:
    """Ids run row by row over the scene, not block by block."""
    values = np.zeros((600, 1100), np.uint8)
    values[300, 10] = 1
    values[5, 1000] = 2
    values[5, 600] = 3
    values[520, 30] = 4
    assert table(values, write_scene, tmp_path)["class_id"].tolist() == [3, 2, 1, 4]


def test_small_regions_are_measured_whole(write_scene: Any, tmp_path: Path) -> None:
    """A region is dropped by its whole area, not by that of its pieces."""
    values = np.zeros((600, 600), np.uint8)
    values[500:524, 100:110] = 1  # 60 m2, 30 m2 in either block
    values[10:14, 10:20] = 2  # 10 m2
    assert table(values, write_scene, tmp_path, min_area=50)["class_id"].tolist() == [1]
