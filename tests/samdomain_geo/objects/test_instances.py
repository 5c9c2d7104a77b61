from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rio_cogeo import cog_validate

from samdomain_geo.objects.instances import Shape, write_instances
from samdomain_geo.results.colours import colour_of
from samdomain_geo.scenes.raster import open_scene


def paint(scene: Path, path: Path, shapes: list[Shape]) -> np.ndarray:
    with open_scene(scene) as opened:
        write_instances(shapes, opened, path, {"weights": "x"})
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_the_higher_score_is_on_top(scene: Path, tmp_path: Path) -> None:
    """Where two objects overlap, the raster shows the better one, whatever the order."""
    low = Shape(1, 0.2, shapely.box(0, 0, 10, 10))
    high = Shape(2, 0.9, shapely.box(5, 0, 15, 10))
    for shapes in ([low, high], [high, low]):
        ids = paint(scene, tmp_path / "ids.tif", shapes)
        assert (ids == 1).sum() == 50
        assert (ids == 2).sum() == 100


def test_the_grid_is_the_scenes(scene: Path, tmp_path: Path) -> None:
    """CRS, transform and size are the scene's; the file is a valid COG with its origin."""
    paint(scene, tmp_path / "ids.tif", [Shape(7, 1.0, shapely.box(0, 0, 4, 4))])
    with rasterio.open(tmp_path / "ids.tif") as ids, rasterio.open(scene) as image:
        assert ids.crs == image.crs
        assert ids.transform == image.transform
        assert ids.shape == image.shape
        assert ids.nodata == 0
        assert ids.dtypes == ("uint8",)
        assert ids.tags()["SAMDOMAIN_WEIGHTS"] == "x"
    valid, errors, _ = cog_validate(tmp_path / "ids.tif")
    assert valid, errors
    assert not list(tmp_path.glob("*.plain.tif"))


def test_an_object_over_several_blocks_has_no_seam(write_scene, tmp_path: Path) -> None:
    """Blocks are painted one by one; an object over four of them is whole."""
    large = write_scene(np.zeros((1, 2100, 2200), np.uint8), "large.tif")
    ids = paint(large, tmp_path / "ids.tif", [Shape(3, 1.0, shapely.box(2000, 2000, 2100, 2090))])
    assert (ids[2000:2090, 2000:2100] == 3).all()
    assert (ids == 3).sum() == 9000
    with rasterio.open(tmp_path / "ids.tif") as dataset:
        assert dataset.overviews(1)


def test_no_objects_make_an_empty_raster(scene: Path, tmp_path: Path) -> None:
    """A run that finds nothing still writes its raster."""
    assert (paint(scene, tmp_path / "ids.tif", []) == 0).all()


@pytest.mark.parametrize(("number", "dtype"), [(255, "uint8"), (256, "uint16"), (65535, "uint16")])
def test_ids_have_colours_of_their_own(
    scene: Path, tmp_path: Path, number: int, dtype: str
) -> None:
    """The colour table survives in the COG, beside nodata, tags and description."""
    shapes = [Shape(i, 1.0, shapely.box(i % 50, 0, i % 50 + 1, 1)) for i in (1, 2, number)]
    paint(scene, tmp_path / "ids.tif", shapes)
    with rasterio.open(tmp_path / "ids.tif") as ids:
        colours = ids.colormap(1)
        assert ids.dtypes == (dtype,)
        assert ids.nodata == 0
        assert ids.descriptions == ("object id",)
        assert ids.tags()["SAMDOMAIN_WEIGHTS"] == "x"
    assert [colours[i][:3] for i in (1, 2, number)] == [colour_of(i) for i in (1, 2, number)]


def test_more_ids_than_colours_are_kept(scene: Path, tmp_path: Path) -> None:
    """Above 65535 ids the raster is uint32, without a colour table."""
    ids = paint(scene, tmp_path / "ids.tif", [Shape(65536, 1.0, shapely.box(0, 0, 2, 2))])
    assert ids.dtype == np.uint32
    assert ids.max() == 65536
    with rasterio.open(tmp_path / "ids.tif") as dataset, pytest.raises(ValueError, match="color"):
        dataset.colormap(1)
