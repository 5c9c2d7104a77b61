from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.engine.plan import Grid, Tiling
from samdomain_geo.evaluation.raster_comparison import RasterComparison, compare_rasters
from samdomain_geo.scenes.ellipsoid import Ellipsoid

SHAPE = (1100, 700)
METRES = (0.5, 0.0, 500_000.0, 0.0, -0.5, 30_000.0)
DEGREES = (0.01, 0.0, 20.0, 0.0, -0.01, 70.0)


class Held:
    """Classes in memory; negative ones are nodata."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels.astype(np.int64)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        labels = self._labels[window.toslices()]
        return labels, labels >= 0


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = np.kron(rng.integers(-1, 4, (11, 7)), np.ones((100, 100), int))
    predicted = np.where(rng.random(SHAPE) < 0.1, rng.integers(-1, 5, SHAPE), true)
    return predicted, true


def grid(transform: tuple[float, ...] = METRES, crs: int | None = 32636) -> Grid:
    words = None if crs is None else CRS.from_epsg(crs).to_wkt(version="WKT2_2019")
    return Grid(*SHAPE, words, transform)


def compare(predicted, true, where: Grid, path: Path, block: int = 512) -> RasterComparison:
    return compare_rasters(Held(predicted), Held(true), where, Tiling(block), path)


def test_counts_are_numpys(tmp_path: Path) -> None:
    """The matrix, the map's pixels and the raster of errors are those of whole arrays."""
    predicted, true = pair(0)
    found = compare(predicted, true, grid(), tmp_path / "e.tif")
    counted = (predicted >= 0) & (true >= 0)
    assert found.confusion.classes == (0, 1, 2, 3, 4)
    for one, other in np.ndindex(5, 5):
        expected = (counted & (true == one) & (predicted == other)).sum()
        assert found.confusion.pixels[one, other] == expected
    assert found.mapped.tolist() == [(predicted == one).sum() for one in range(5)]
    assert not found.whole
    with rasterio.open(tmp_path / "e.tif") as dataset:
        verdict = dataset.read(1)
        assert dataset.nodata == 255
    assert (verdict == np.where(counted, predicted != true, 255)).all()


def test_blocks_change_nothing(tmp_path: Path) -> None:
    """Small and large blocks give the same figures, areas, pictures and errors."""
    predicted, true = pair(1)
    results, errors = [], []
    for block in (512, 1024, 2048):
        path = tmp_path / f"{block}.tif"
        results.append(compare(predicted, true, grid(), path, block))
        with rasterio.open(path) as dataset:
            errors.append(dataset.read(1))
    for other, verdict in zip(results[1:], errors[1:], strict=True):
        assert (other.confusion.pixels == results[0].confusion.pixels).all()
        assert other.area_m2 == pytest.approx(results[0].area_m2, rel=1e-6)
        assert (other.places.cells.wrong == results[0].places.cells.wrong).all()
        assert (other.places.true.labels == results[0].places.true.labels).all()
        assert (verdict == errors[0]).all()


@pytest.mark.parametrize(("transform", "crs"), [(METRES, 32636), (DEGREES, 4326)])
def test_areas_are_geodesic(tmp_path: Path, transform: tuple[float, ...], crs: int) -> None:
    """Each class has the geodesic area of its pixels, also where these shrink to the pole."""
    labels = np.zeros(SHAPE, int)
    labels[600:] = 1
    found = compare(labels, labels, grid(transform, crs), tmp_path / "e.tif")
    place = Affine(*transform)
    outlines = [
        shapely.Polygon([place @ (x, y) for x, y in shapely.box(0, top, 700, end).exterior.coords])
        for top, end in ((0, 600), (600, 1100))
    ]
    dense = gpd.GeoSeries([shapely.segmentize(one, transform[0]) for one in outlines])
    expected, _ = Ellipsoid.of(f"EPSG:{crs}").measure(dense)
    assert found.area_m2 == pytest.approx(expected, rel=2e-4)
    assert found.whole


def test_no_crs_has_no_area(tmp_path: Path) -> None:
    """Without a CRS pixels are counted, and not measured."""
    predicted, true = pair(2)
    assert compare(predicted, true, grid(crs=None), tmp_path / "e.tif").area_m2 is None


def test_a_class_outside_the_truth_is_known(tmp_path: Path) -> None:
    """A class that the map has where there is no truth is in the table, with nothing compared."""
    predicted, true = np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    predicted[:10] = 8
    true[:10] = -1
    found = compare(predicted, true, grid(), tmp_path / "e.tif")
    assert found.confusion.classes == (0, 8)
    assert found.confusion.pixels.tolist() == [[1090 * 700, 0], [0, 0]]
    assert found.mapped.tolist() == [1090 * 700, 7000]


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    """Sides whose data never meet are an error."""
    predicted, true = np.full((2, *SHAPE), -1)
    predicted[:100], true[100:] = 1, 1
    with pytest.raises(InputError, match="no pixel in common"):
        compare(predicted, true, grid(), tmp_path / "e.tif")
