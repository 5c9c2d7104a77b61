"""`samdomain polygonize`: a raster of classes or ids in, polygons out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from samdomain.errors import InputError
from samdomain_geo.class_names import class_names
from samdomain_geo.ellipsoid import Ellipsoid
from samdomain_geo.objects import Shaping
from samdomain_geo.output import output_folder
from samdomain_geo.raster import Scene, open_scene
from samdomain_geo.regions import (
    CONNECTIVITIES,
    Region,
    place_regions,
    read_labels,
    trace_regions,
)
from samdomain_geo.regularization import regularized
from samdomain_geo.vector import to_crs
from samdomain_geo.vector_file import format_of, write_polygons


@dataclass(frozen=True, eq=False)
class Polygons:
    """Result of `polygonize`.

    Attributes:
        path: the file of polygons.
        regions: its rows, one for each connected region.
    """

    path: Path
    regions: gpd.GeoDataFrame

    def summary(self) -> dict[str, Any]:
        """Return the files that were written and what they hold."""
        return {
            "file": str(self.path),
            "style": str(self.path.with_suffix(".qml")),
            "polygons": len(self.regions),
            "values": int(self.regions["class_id"].nunique()),
        }


def polygonize(  # noqa: PLR0913 - a verb's parameters are its flags
    mask: str | Path,
    *,
    out: Path,
    band: int = 1,
    nodata: int | None = None,
    connectivity: int = 4,
    min_area: float = 0.0,
    simplify: float = 0.0,
    regularize: bool = False,
    overwrite: bool = False,
) -> Polygons:
    """Turn a raster of classes or ids into polygons whose neighbours share their borders.

    Each connected region of one value becomes a row; `class_id` is the value, `class_name`
    the name that the raster gives it. This version reads the whole band into memory.

    Args:
        mask: raster of integers, anything that GDAL reads.
        out: file to write: .gpkg, .parquet, .fgb or .geojson; a QGIS style goes beside it.
        band: band of the raster, counted from 1.
        nodata: value that becomes no polygon; by default the file's own and 0.
        connectivity: 4, or 8 to join regions that meet at corners only.
        min_area: drop regions below this many square metres.
        simplify: drop corners of about this size, in units of the CRS; neighbours still meet.
        regularize: straighten walls, for buildings; neighbours may then overlap or part.
        overwrite: replace an earlier file.

    Returns:
        Polygons: the rows and where their file is.

    Raises:
        InputError: an input or a flag cannot be used; nothing was written.
        MissingExtraError: a library that a flag needs is not installed.
    """
    out = Path(out)
    if connectivity not in CONNECTIVITIES:
        raise InputError(f"--connectivity is {connectivity}: give 4 or 8")
    if out.is_dir():
        raise InputError(f"{out} is a folder: give --out the name of a file")
    names = (out.with_suffix(".qml").name, out.name)
    vector = format_of(out)
    with (
        open_scene(mask, (band,)) as opened,
        output_folder(out.parent, names, overwrite=overwrite) as output,
    ):
        vector.check(opened.crs)
        ellipsoid = Ellipsoid.of(opened.crs)
        shaping = Shaping(min_area, simplify, regularize)
        shaping.check(ellipsoid)
        labels = read_labels(opened, nodata)
        regions = _large(trace_regions(labels, connectivity), opened, ellipsoid, min_area)
        table = _table(regions, opened, ellipsoid, shaping)
        write_polygons(table, output.path(out.name), datetime.now(UTC))
    return Polygons(out, table)


def _large(
    regions: list[Region], scene: Scene, ellipsoid: Ellipsoid | None, min_area: float
) -> list[Region]:
    if ellipsoid is None or min_area == 0:
        return regions
    placed = gpd.GeoSeries([to_crs(region.outline, scene.transform) for region in regions])
    areas, _ = ellipsoid.measure(placed)
    return [region for region, area in zip(regions, areas, strict=True) if (area or 0) >= min_area]


def _table(
    regions: list[Region], scene: Scene, ellipsoid: Ellipsoid | None, shaping: Shaping
) -> gpd.GeoDataFrame:
    placed = place_regions(regions, scene.transform, shaping.simplify)
    geometry = gpd.GeoSeries(placed, crs=scene.crs)
    if shaping.regularize:
        geometry = regularized(geometry, scene.transform, ellipsoid)
    count = len(regions)
    areas, perimeters = ellipsoid.measure(geometry) if ellipsoid else ([None] * count,) * 2
    names = class_names(scene)
    columns = {
        "id": range(1, count + 1),
        "class_id": pd.array([region.value for region in regions], dtype="Int64"),
        "class_name": pd.array([names.get(region.value) for region in regions], dtype="string"),
        "area_m2": pd.array(areas, dtype="Float64"),
        "perimeter_m": pd.array(perimeters, dtype="Float64"),
    }
    return gpd.GeoDataFrame(columns, geometry=geometry)
