"""Bound the memory in which GDAL keeps blocks of rasters."""

import os

import rasterio

_OPTION = "GDAL_CACHEMAX"

# GDAL's own bound is a twentieth of the machine's memory, whatever the scene: on a large machine
# it keeps gigabytes that are read once. This holds a row of tiles of a scene 20,000 pixels wide,
# and is so small that a scene which fills it takes hardly more memory than one that does not.
_BYTES = 1 << 25


def block_cache() -> rasterio.Env:
    """Return an environment, to be entered, in which GDAL's cache is bounded.

    The user's own GDAL_CACHEMAX goes before.
    """
    return rasterio.Env(**({} if _OPTION in os.environ else {_OPTION: _BYTES}))
