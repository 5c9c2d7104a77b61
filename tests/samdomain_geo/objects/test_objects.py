from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import MultiPolygon

from samdomain_geo.objects.objects import SceneObjects, Shaping, collect_objects
from samdomain_geo.objects.prompted import FoundObject
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import open_scene

# Pixels are 0.5 m: 100 m2, and a part of 4 m2.
TWO_PARTS = MultiPolygon([shapely.box(0, 0, 20, 20), shapely.box(30, 0, 34, 4)])


def collect(
    scene: Path, found: list[FoundObject], columns: pd.DataFrame | None = None, **shaping: float
) -> SceneObjects:
    count = len(found)
    prompts = ObjectPrompts(
        boxes=np.zeros((count, 4)),
        clipped=np.array([False, True, False][:count]),
        columns=pd.DataFrame({"prompt_fid": range(count)}) if columns is None else columns,
        outside=0,
    )
    with open_scene(scene) as opened:
        ellipsoid = Ellipsoid.of(opened.crs)
        return collect_objects(found, prompts, opened, ellipsoid, Shaping(**shaping))


def test_one_row_a_prompt(scene: Path) -> None:
    """Rows are numbered in the order of the prompts; an empty one stays, without geometry."""
    found = [FoundObject(TWO_PARTS, 0.9), FoundObject(None, 0.1)]
    objects = collect(scene, found)
    table = objects.table
    assert table["id"].tolist() == [1, 2]
    assert table["flags"].tolist() == ["", "clipped,empty"]
    assert table.geometry.isna().tolist() == [False, True]
    assert table["area_m2"].isna().tolist() == [False, True]
    assert [shape.id for shape in objects.shapes] == [1]
    assert objects.counts() == {"objects": 2, "clipped": 1, "empty": 1, "small": 0}


def test_columns_come_in_the_documented_order(scene: Path) -> None:
    """Our columns first, then the prompts' own, then the geometry."""
    table = collect(scene, [FoundObject(TWO_PARTS, 0.9)]).table
    assert list(table) == [
        "id", "class_id", "class_name", "score", "area_m2", "perimeter_m", "flags", "prompt_fid",
        "geometry",
    ]  # fmt: skip


def test_measures_are_metres(scene: Path) -> None:
    """Area and perimeter are on the ground, over all parts."""
    row = collect(scene, [FoundObject(TWO_PARTS, 0.9)]).table.iloc[0]
    assert row["area_m2"] == pytest.approx(104, rel=2e-3)
    assert row["perimeter_m"] == pytest.approx(48, rel=2e-3)


def test_small_parts_are_dropped_from_polygon_and_raster(scene: Path) -> None:
    """min_area drops parts; an object of nothing else keeps its row, flagged."""
    found = [FoundObject(TWO_PARTS, 0.9)]
    cleaned = collect(scene, found, min_area=5)
    assert cleaned.shapes[0].outline.area == 400
    assert cleaned.table["flags"].tolist() == [""]
    gone = collect(scene, found, min_area=1000)
    assert gone.table["flags"].tolist() == ["small"]
    assert gone.table.geometry.isna().all()
    assert gone.shapes == []


def test_simplified_polygons_leave_the_raster_alone(scene: Path) -> None:
    """The tolerance is in units of the CRS and touches polygons only."""
    stairs = MultiPolygon([shapely.union_all([shapely.box(i, 0, i + 1, i + 1) for i in range(20)])])
    objects = collect(scene, [FoundObject(stairs, 0.9)], simplify=0.5)
    assert shapely.get_num_coordinates(objects.table.geometry.iloc[0]) < 20
    assert objects.shapes[0].outline.equals(stairs)


def test_prompt_columns_are_carried(scene: Path) -> None:
    """Names that clash are marked as the prompt's; class columns fill ours."""
    columns = pd.DataFrame(
        {"prompt_fid": [5], "name": ["hut"], "id": ["x"], "score": [3], "class_name": ["roof"]}
    )
    row = collect(scene, [FoundObject(TWO_PARTS, 0.9)], columns).table.iloc[0]
    assert (row["name"], row["prompt_id"], row["prompt_score"]) == ("hut", "x", 3)
    assert (row["id"], row["score"], row["class_name"]) == (1, 0.9, "roof")
