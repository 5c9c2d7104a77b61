import pytest
from rasterio.env import getenv

from samdomain_geo.scenes.block_cache import block_cache


def test_the_cache_is_bounded() -> None:
    """GDAL keeps 32 MB of blocks at most."""
    with block_cache():
        assert getenv()["GDAL_CACHEMAX"] == 1 << 25


def test_the_users_bound_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound in the environment is left to GDAL."""
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    with block_cache():
        assert "GDAL_CACHEMAX" not in getenv()
