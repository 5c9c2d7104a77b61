import numpy as np
import pytest
import shapely
from affine import Affine

from samdomain_geo.regions import Labels, place_regions, trace_regions

CHECKERED = np.array([[1, 2], [2, 1]], np.uint8)


def trace(values: np.ndarray, connectivity: int = 4) -> list:
    return trace_regions(Labels(values, values != 0), connectivity)


def test_connectivity_decides_what_corners_join() -> None:
    """A chequerboard is four regions by edges, and two, which stay valid, by corners."""
    assert [region.value for region in trace(CHECKERED)].count(1) == 2
    joined = trace(CHECKERED, 8)
    assert sorted(region.value for region in joined) == [1, 2]
    assert all(region.outline.is_valid and region.outline.area == 2 for region in joined)


@pytest.mark.parametrize(
    ("dtype", "value"), [("int8", -3), ("uint32", 4_000_000_000), ("int64", 2**40), ("uint64", 5)]
)
def test_every_integer_type_keeps_its_values(dtype: str, value: int) -> None:
    """Values that GDAL's tracing does not take come back as they were."""
    values = np.array([[0, value], [7, 7]], dtype)
    assert sorted(region.value for region in trace(values)) == sorted([value, 7])


@pytest.mark.parametrize("connectivity", [4, 8])
def test_simplified_neighbours_still_meet(connectivity: int) -> None:
    """Simplified regions of a random raster neither overlap nor leave gaps between them."""
    rng = np.random.default_rng(0)
    values = np.kron(rng.integers(1, 4, (6, 6)), np.ones((4, 4))).astype(np.uint8)
    values[rng.random(values.shape) > 0.9] = 2
    regions = trace(values, connectivity)
    transform = Affine(0.3, 0, 5e5, 0, -0.3, 6e6)
    exact = place_regions(regions, transform, 0)
    simple = place_regions(regions, transform, 0.4)
    assert shapely.coverage_is_valid(simple)
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(exact).sum()
    whole = shapely.union_all(simple)
    assert shapely.area(simple).sum() == pytest.approx(whole.area)
    assert not list(whole.interiors)


def test_nothing_traces_to_nothing() -> None:
    """A raster without labels has no regions, simplified or not."""
    assert place_regions(trace(np.zeros((3, 3), np.uint8)), Affine.identity(), 1.0) == []
