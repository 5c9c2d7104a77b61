"""Run `samdomain segment` over rasters of many kinds, and compare with labels where there are.

    python benchmarks/rasters.py [RASTER ...]      by file name; all that are missing by default

Labels are the prompts where a raster has them, as bounds; else boxes are laid on a grid by
hand, and only that the run ends well is shown. Footprints give an IoU; trees are labelled by
boxes alone, so that theirs is of the polygon's bounds with the box that it was asked with.
Flags are the default but for `--bands` of scenes with many bands. Seconds are of a machine that
others were using: they show that a run ends, and benchmarks/segment.py what it takes. Each raster
is a file in benchmarks/results/rasters, written as it ends; one that is there is not run again.
SAMDOMAIN_PREVIEWS names a folder to keep the pictures in.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from real_data import FOLDER

from samdomain_geo import segment
from samdomain_geo.scenes.raster import open_scene

RESULTS = Path(__file__).parent / "results" / "rasters"
SCENES = FOLDER / "geotiff-misc"


@dataclass(frozen=True)
class Case:
    """A raster, what it is asked with, and how.

    Attributes:
        raster: file name.
        labels: file of labels; boxes on a grid without.
        boxes: the labels are boxes and no outlines.
        bands: bands to take in place of the default.
    """

    raster: str
    labels: str | None = None
    boxes: bool = False
    bands: str | None = None


CASES = (
    Case("landsat_RGB.byte.tif"),
    Case("naip_nd_20090818.tif"),
    Case("naip_nd_20200831.tif"),
    Case("neon_OSBS_029.tif", "neon_OSBS_029_tree_boxes.geojson", boxes=True),
    Case("neon_SJER_477.tif", "neon_SJER_477_tree_boxes.geojson", boxes=True),
    Case("spacenet4_atlanta_pan.tif", "spacenet4_atlanta_buildings.geojson"),
    Case("tenband_float32_epsg32614.tif", bands="3,2,1"),
)


def main() -> None:
    """Run the rasters that are named, or all that are missing."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        path = RESULTS / f"{Path(case.raster).stem}.json"
        if case.raster in sys.argv[1:] or (not sys.argv[1:] and not path.exists()):
            path.write_text(json.dumps(measure(case), indent=2) + "\n")
            print(case.raster, path.read_text())


def measure(case: Case) -> dict[str, Any]:
    """Segment one raster and describe it and what came out."""
    scene = SCENES / case.raster
    with tempfile.TemporaryDirectory() as folder:
        prompts = SCENES / case.labels if case.labels else grid(scene, Path(folder) / "grid.gpkg")
        start = time.perf_counter()
        result = segment(scene, prompts=prompts, out=Path(folder) / "out", bands=case.bands)
        seconds = time.perf_counter() - start
        keep(result.folder / "preview.png", case)
    with rasterio.open(scene) as dataset:
        described = {
            "raster": case.raster,
            "dtype": dataset.dtypes[0],
            "bands": dataset.count,
            "crs": dataset.crs.to_string(),
            "nodata": dataset.nodata,
        }
    return {
        **described,
        "prompts": case.labels or "boxes on a grid",
        **result.record["counts"],
        "seconds": round(seconds, 1),
        "mean_score": round(float(result.objects["score"].mean()), 3),
        **(compare(case, result.objects) if case.labels else {}),
    }


def compare(case: Case, objects: gpd.GeoDataFrame) -> dict[str, float]:
    """Compare objects with the labels that they were asked with, those at the edge left out."""
    whole = objects[~objects["flags"].str.contains("clipped")]
    labels = gpd.read_file(SCENES / case.labels).to_crs(objects.crs).geometry.make_valid()
    mapped = labels.loc[whole["prompt_fid"]].to_numpy()
    found = whole.geometry.to_numpy()
    if case.boxes:
        return {"mean_iou_of_bounds": round(iou(bounds(found), bounds(mapped)), 4)}
    return {
        "mean_iou": round(iou(found, mapped), 4),
        "mean_iou_of_bare_boxes": round(iou(bounds(mapped), mapped), 4),
    }


def bounds(shapes: np.ndarray) -> np.ndarray:
    """Return the bounds of shapes as boxes; an empty one where there is none."""
    return shapely.box(*np.nan_to_num(shapely.bounds(shapes)).T)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean IoU of polygons pair by pair; a missing one counts 0."""
    both = shapely.area(shapely.intersection(a, b))
    return float(np.nan_to_num(both / (shapely.area(a) + shapely.area(b) - both)).mean())


def grid(scene: Path, path: Path) -> Path:
    """Write twelve boxes on a grid of four by three, each a tenth of the shorter side."""
    with open_scene(scene) as opened:
        side = min(opened.rows, opened.columns) / 10
        squares = [
            shapely.box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
            for y in np.linspace(0, opened.rows, 5)[1:-1]
            for x in np.linspace(0, opened.columns, 6)[1:-1]
        ]
        matrix = opened.transform.to_shapely()
        placed = gpd.GeoSeries(squares, crs=opened.crs).affine_transform(matrix)
    placed.to_frame("geometry").to_file(path)
    return path


def keep(preview: Path, case: Case) -> None:
    """Copy a picture to where it can be looked at."""
    if folder := os.environ.get("SAMDOMAIN_PREVIEWS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(preview, Path(folder) / f"{Path(case.raster).stem}.png")


if __name__ == "__main__":
    main()
