"""Overrule what a raster says about nodata."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.dtypes import in_dtype_range
from rasterio.io import DatasetReader, MemoryFile

from samdomain.errors import InputError


def parse_nodata(value: str | float | None) -> float | None:
    """Return a value of nodata as a number.

    Args:
        value: a number, "nan", or "none", which is NaN too: no pixel but NaN is nodata. None
            leaves it to the file.

    Raises:
        InputError: it is none of these.
    """
    if value is None:
        return None
    try:
        return math.nan if str(value).lower() == "none" else float(value)
    except ValueError as error:
        raise InputError(
            f"--nodata {value!r} is not a number: give for example 0, -9999, nan or none"
        ) from error


@contextmanager
def overruled(dataset: DatasetReader, nodata: float) -> Iterator[DatasetReader]:
    """View a dataset with another value of nodata, without a copy of its pixels.

    GDAL then keeps nodata out of its averages too. Alpha bands and masks stay as they are.

    Args:
        dataset: open dataset.
        nodata: value that is nodata in all bands; NaN where only NaN is.

    Raises:
        InputError: no pixel of the dataset's type can have the value.
    """
    _check(dataset.dtypes[0], nodata)
    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(dataset, memory.name, driver="VRT")
        with rasterio.open(memory.name, "r+") as view:
            view.nodata = None if math.isnan(nodata) else nodata
        with rasterio.open(memory.name) as view:
            yield view


def _check(dtype: str, nodata: float) -> None:
    whole = np.issubdtype(np.dtype(dtype), np.integer)
    if math.isnan(nodata) or (in_dtype_range(nodata, dtype) and not (whole and nodata % 1)):
        return
    raise InputError(f"--nodata is {nodata:g}, which no pixel of type {dtype} can have")
