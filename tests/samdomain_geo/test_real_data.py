"""The main job on real imagery with mapped buildings, on a ninth of them.

The figures over all buildings come from benchmarks/segment.py; this guards against a fall.
"""

import os
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from rio_cogeo import cog_validate

from samdomain.sam import Sam
from samdomain_geo import segment

FOLDER = Path(os.environ.get("SAMDOMAIN_DATA", Path(__file__).parents[3] / "shared" / "data"))
BUILDINGS = FOLDER / "kampala" / "buildings.geojson"

pytestmark = pytest.mark.skipif(
    not BUILDINGS.exists(), reason="the real data is not here: set SAMDOMAIN_DATA"
)


@pytest.mark.parametrize("name", ["A20", "A21"])
def test_buildings_of_kampala(name: str, tmp_path: Path, litemedsam: Sam) -> None:
    """A sample of buildings is outlined far better than its boxes, with sound files."""
    scene = FOLDER / "kampala" / f"{name}.tif"
    mapped = gpd.read_file(BUILDINGS)
    chosen = mapped[mapped["osm_id"].notna()].iloc[4::9]
    where = f"osm_id IN ({', '.join(str(int(osm)) for osm in chosen['osm_id'])})"
    result = segment(scene, prompts=BUILDINGS, where=where, out=tmp_path / "out")
    objects = result.objects[~result.objects["flags"].str.contains("clipped")]
    truth = mapped.to_crs(objects.crs).geometry.make_valid().loc[objects["prompt_fid"]].to_numpy()
    found = objects.geometry.to_numpy()
    boxes = shapely.box(*shapely.bounds(truth).T)
    assert len(result.objects) == len(chosen)
    assert iou(found, truth) > iou(boxes, truth) + 0.05
    assert cog_validate(result.folder / "instances.tif")[0]
    assert gpd.read_file(result.folder / "polygons.gpkg", layer="polygons").is_valid.all()


def iou(a: object, b: object) -> float:
    both = shapely.area(shapely.intersection(a, b))
    return float((both / (shapely.area(a) + shapely.area(b) - both)).mean())
