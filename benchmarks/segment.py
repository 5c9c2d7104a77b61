"""Measure `samdomain segment` on drone imagery with mapped buildings.

    python benchmarks/segment.py [A20 A21]

For each scene the bounds of the mapped buildings are the prompts, with default flags. The mean
IoU of the returned with the mapped polygons is over buildings wholly inside the scene; the
baseline is the bare box. The result goes to benchmarks/results/segment.json.
"""

import json
import platform
import sys
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import torch
from real_data import FOLDER

from samdomain_geo import segment

RESULT = Path(__file__).parent / "results" / "segment.json"
BUILDINGS = FOLDER / "kampala" / "buildings.geojson"
SCENES = ("A20", "A21")


def main() -> None:
    """Measure each scene and write the result."""
    scenes = sys.argv[1:] or SCENES
    result = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "scenes": {scene: measure(FOLDER / "kampala" / f"{scene}.tif") for scene in scenes},
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(RESULT.read_text())


def measure(scene: Path) -> dict[str, object]:
    """Segment one scene and compare its polygons with the map."""
    with tempfile.TemporaryDirectory() as folder:
        result = segment(scene, prompts=BUILDINGS, out=Path(folder) / "out")
        check_files(result.folder, scene)
    truth = gpd.read_file(BUILDINGS).to_crs(result.objects.crs)
    mapped = truth.geometry.make_valid().loc[result.objects["prompt_fid"]].to_numpy()
    whole = ~result.objects["flags"].str.contains("clipped").to_numpy()
    found = iou(result.objects.geometry.to_numpy(), mapped)
    boxes = iou(shapely.box(*shapely.bounds(mapped).T), mapped)
    return {
        "objects": int(whole.sum()),
        "clipped": int((~whole).sum()),
        "mean_iou": round(float(found[whole].mean()), 4),
        "median_iou": round(float(np.median(found[whole])), 4),
        "mean_iou_clipped": round(float(found[~whole].mean()), 4),
        "mean_iou_of_bare_boxes": round(float(boxes[whole].mean()), 4),
        "counts": result.record["counts"],
        "seconds": result.record["seconds"],
    }


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the IoU of polygons pair by pair; a missing one counts 0."""
    both = shapely.area(shapely.intersection(a, b))
    return np.nan_to_num(both / (shapely.area(a) + shapely.area(b) - both))


def check_files(folder: Path, scene: Path) -> None:
    """Stop where the raster does not stand on the scene's grid."""
    with rasterio.open(folder / "instances.tif") as ids, rasterio.open(scene) as image:
        if ids.crs != image.crs or ids.transform != image.transform or ids.shape != image.shape:
            raise SystemExit(f"instances.tif is off the grid of {scene}")


if __name__ == "__main__":
    main()
