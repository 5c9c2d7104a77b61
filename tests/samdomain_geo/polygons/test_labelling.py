import numpy as np
import pytest
from rasterio.features import shapes

from samdomain_geo.polygons.labelling import components, label_regions


def test_components_point_to_their_first() -> None:
    """Chains, rings and loners all find the least member."""
    pairs = np.array([[5, 4], [4, 3], [3, 9], [7, 8], [8, 7]])
    assert components(10, pairs).tolist() == [0, 1, 2, 3, 3, 3, 6, 7, 7, 3]
    assert components(3, np.zeros((0, 2), np.int64)).tolist() == [0, 1, 2]


def test_a_long_chain_in_any_order_is_one() -> None:
    """A thousand links in random order join in few rounds."""
    links = np.stack([np.arange(999), np.arange(1, 1000)], axis=1)
    shuffled = np.random.default_rng(0).permutation(links)
    assert not components(1000, shuffled).any()


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_labels_agree_with_gdal(connectivity: int, seed: int) -> None:
    """Regions of a random raster are as many as GDAL finds, each of one value and connected."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (40, 50))
    valid = rng.random((40, 50)) > 0.1
    regions = label_regions(values, valid, connectivity)
    traced = list(shapes(values.astype(np.int32), mask=valid, connectivity=connectivity))
    again = list(shapes(regions.labels, mask=valid, connectivity=connectivity))
    assert len(regions.first) == len(traced) == len(again)
    assert ((regions.labels > 0) == valid).all()
    assert (regions.values[regions.labels[valid] - 1] == values[valid]).all()
    found = [int(np.flatnonzero(regions.labels == n)[0]) for n in range(1, len(traced) + 1)]
    assert regions.first.tolist() == found == sorted(found)
