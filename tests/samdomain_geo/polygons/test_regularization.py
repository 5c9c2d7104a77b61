import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize, shapes

from samdomain_geo.polygons.regularization import regularized
from samdomain_geo.scenes.ellipsoid import Ellipsoid

pytest.importorskip("buildingregulariser", reason="it is part of the extra 'geo'")

HOUSE = shapely.affinity.rotate(shapely.box(20, 30, 80, 70), 17)


def stairs(house: shapely.Polygon, transform: Affine) -> shapely.Polygon:
    """Trace a house as pixels show it."""
    mask = rasterize([house], (100, 100), dtype="uint8")
    ((traced, _),) = shapes(mask, mask=mask == 1, transform=transform)
    return shapely.geometry.shape(traced)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, Affine.identity()),
        ("EPSG:32636", Affine(0.3, 0, 5e5, 0, -0.3, 6.6e6)),
        # At 60 degrees of latitude a degree of longitude is half as long.
        ("EPSG:4326", Affine(6e-6, 0, 30.0, 0, -3e-6, 60.0)),
    ],
)
def test_corners_become_right_angles(crs: str | None, transform: Affine) -> None:
    """A turned rectangle of pixels has four right angles on the ground again, in any CRS."""
    outline = gpd.GeoSeries([stairs(HOUSE, transform)], crs=crs)
    (result,) = regularized(outline, transform, Ellipsoid.of(crs))
    assert len(result.exterior.coords) == 5
    pixels = shapely.transform(
        result, lambda xy: np.stack((~transform) @ (xy[:, 0], xy[:, 1]), axis=1)
    )
    walls = np.diff(shapely.get_coordinates(pixels), axis=0)
    turned = (walls * np.roll(walls, 1, axis=0)).sum(axis=1) / (walls**2).sum(axis=1)
    assert turned == pytest.approx(0, abs=0.02)
    assert pixels.intersection(HOUSE).area / pixels.union(HOUSE).area > 0.95


def test_missing_and_broken_outlines_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing row stays missing; an outline that comes out as another thing is kept."""
    line = shapely.box(0, 0, 40, 10)
    outlines = gpd.GeoSeries([None, line])
    far = [shapely.box(1000, 1000, 1010, 1010)]
    monkeypatch.setattr("samdomain_geo.polygons.regularization._shape", lambda framed: far)
    result = regularized(outlines, Affine.identity(), None)
    assert result.isna().tolist() == [True, False]
    assert result[1].equals(line)
    assert regularized(gpd.GeoSeries([None]), Affine.identity(), None).isna().all()
