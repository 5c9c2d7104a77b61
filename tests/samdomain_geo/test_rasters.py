"""The same scene in the forms that rasters come in gives the same polygons."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.warp import Resampling, calculate_default_transform, reproject

from samdomain.sam import Sam
from samdomain_geo import segment
from samdomain_geo.made_scene import make_scene, rough_boxes

SIZE = 384


@dataclass(frozen=True, eq=False)
class Case:
    """A scene and boxes on it, in files, and how to bring polygons back to the plain scene."""

    pixels: np.ndarray
    transform: Affine
    crs: object
    boxes: gpd.GeoDataFrame
    back: Callable[[gpd.GeoSeries], gpd.GeoSeries] = lambda polygons: polygons
    nodata: float | None = None

    def outline(self, folder: Path) -> np.ndarray:
        """Segment the case and return its polygons in the plain scene's coordinates."""
        folder.mkdir()
        rows, columns = self.pixels.shape[1:]
        with rasterio.open(
            folder / "scene.tif", "w", driver="GTiff", width=columns, height=rows,
            count=len(self.pixels), dtype=self.pixels.dtype, crs=self.crs,
            transform=self.transform, nodata=self.nodata,
        ) as target:  # fmt: skip
            target.write(self.pixels)
        self.boxes.to_file(folder / "boxes.gpkg")
        result = segment(folder / "scene.tif", prompts=folder / "boxes.gpkg", out=folder / "out")
        return self.back(result.objects.geometry).to_numpy()


@pytest.fixture(scope="module")
def plain() -> Case:
    scene = make_scene(SIZE, SIZE, seed=4)
    boxes = rough_boxes(scene.standing("before"), seed=4)
    return Case(scene.before, scene.transform, scene.crs, boxes)


@pytest.fixture(scope="module")
def expected(plain: Case, tmp_path_factory: pytest.TempPathFactory, litemedsam: Sam) -> np.ndarray:
    return plain.outline(tmp_path_factory.mktemp("plain") / "run")


def geographic(plain: Case) -> Case:
    """Longitude and latitude, resampled as a warping program does it."""
    size = {"width": SIZE, "height": SIZE}
    bounds = rasterio.transform.array_bounds(SIZE, SIZE, plain.transform)
    transform, columns, rows = calculate_default_transform(plain.crs, 4326, **size, **dict(
        zip(("left", "bottom", "right", "top"), bounds, strict=True)
    ))  # fmt: skip
    pixels = np.zeros((3, rows, columns), np.uint8)
    reproject(
        plain.pixels, pixels, src_transform=plain.transform, src_crs=plain.crs,
        dst_transform=transform, dst_crs=4326, resampling=Resampling.bilinear,
    )  # fmt: skip
    return Case(pixels, transform, 4326, plain.boxes, lambda p: p.to_crs(plain.crs), nodata=0)


def sixteen_bits(plain: Case) -> Case:
    """Reflectances of a satellite in place of grey values."""
    pixels = plain.pixels.astype(np.uint16) * 37 + 500
    return Case(pixels, plain.transform, plain.crs, plain.boxes)


def collar(plain: Case) -> Case:
    """A broad frame of nodata around the scene."""
    pixels = np.pad(np.maximum(plain.pixels, 1), ((0, 0), (60, 60), (60, 60)))
    moved = plain.transform @ Affine.translation(-60, -60)
    return Case(pixels, moved, plain.crs, plain.boxes, nodata=0)


def rotated(plain: Case) -> Case:
    """The same pixels under a geotransform turned by 30 degrees, the boxes with it."""
    turn = plain.transform @ Affine.rotation(30) @ ~plain.transform

    def move(shapes: gpd.GeoSeries, by: Affine) -> gpd.GeoSeries:
        return shapes.affine_transform([by.a, by.b, by.d, by.e, by.xoff, by.yoff])

    boxes = plain.boxes.set_geometry(move(plain.boxes.geometry, turn))
    return Case(plain.pixels, turn @ plain.transform, plain.crs, boxes, lambda p: move(p, ~turn))


def south_up(plain: Case) -> Case:
    """Rows from south to north, as some scientific formats keep them."""
    flipped = plain.transform @ Affine.translation(0, SIZE) @ Affine.scale(1, -1)
    return Case(plain.pixels[:, ::-1], flipped, plain.crs, plain.boxes)


def foreign_boxes(plain: Case) -> Case:
    """Boxes in Web Mercator on a scene in UTM."""
    return Case(plain.pixels, plain.transform, plain.crs, plain.boxes.to_crs(3857))


def custom_crs(plain: Case) -> Case:
    """A CRS that no authority has a code for."""
    local = "+proj=tmerc +lat_0=0 +lon_0=32.6 +k=0.9999 +x_0=1000 +y_0=2000 +ellps=GRS80"
    moved = gpd.GeoSeries([shapely.Point(plain.transform.c, plain.transform.f)], crs=plain.crs)
    corner = moved.to_crs(local).iloc[0]
    transform = Affine.translation(corner.x, corner.y) @ Affine.scale(
        plain.transform.a, plain.transform.e
    )
    shift = [1, 0, 0, 1, corner.x - plain.transform.c, corner.y - plain.transform.f]
    boxes = plain.boxes.set_geometry(
        plain.boxes.geometry.affine_transform(shift).set_crs(local, allow_override=True)
    )
    back = [1, 0, 0, 1, -shift[4], -shift[5]]
    return Case(plain.pixels, transform, local, boxes, lambda p: p.affine_transform(back))


def one_band(plain: Case) -> Case:
    """A panchromatic scene."""
    grey = plain.pixels.mean(axis=0, keepdims=True).astype(np.uint8)
    return Case(grey, plain.transform, plain.crs, plain.boxes)


@pytest.mark.parametrize(
    ("form", "agreement"),
    [
        (geographic, 0.9),
        (sixteen_bits, 0.9),
        (collar, 0.9),
        (rotated, 0.9),
        (south_up, 0.8),
        (foreign_boxes, 0.9),
        (custom_crs, 0.9),
        (one_band, 0.8),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_forms_agree(
    form: Callable[[Case], Case],
    agreement: float,
    plain: Case,
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    """Polygons of the scene in another form agree with those of the plain one."""
    found = form(plain).outline(tmp_path / "run")
    both = shapely.area(shapely.intersection(found, expected))
    union = shapely.area(shapely.union(found, expected))
    assert len(found) == len(expected) >= 4
    assert (both / union).mean() > agreement
