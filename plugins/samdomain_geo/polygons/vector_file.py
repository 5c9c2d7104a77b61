"""Write polygons in the vector formats that geographic information systems read."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import geopandas as gpd
import pyogrio

from samdomain.errors import InputError, MissingExtraError
from samdomain_geo.results.style import embed_style, style_of

logger = logging.getLogger(__name__)

LAYER = "polygons"
"""Name of the layer of polygons, in the formats that name their layers."""

_GEOJSON_CRS = "EPSG:4326"


@dataclass(frozen=True)
class VectorFormat:
    """A vector format that polygons can be written in.

    Attributes:
        name: the format in words.
        extension: extension of its files, without the dot; the format's name in commands.
        write: write a table to a path; a missing geometry stays a row.
        module: module that writing needs beyond the geo plugin's own.
        needs_crs: the format has one CRS, so that the polygons' own must be known.
    """

    name: str
    extension: str
    write: Callable[[gpd.GeoDataFrame, Path], None]
    module: str | None = None
    needs_crs: bool = False

    @property
    def file_name(self) -> str:
        """Name of the file of polygons in a folder of results."""
        return f"{LAYER}.{self.extension}"

    def check(self, crs: object) -> None:
        """Refuse, before any work, what could not be written at its end.

        Raises:
            InputError: the format needs a CRS and there is none.
            MissingExtraError: a library that the format needs is not installed.
        """
        if self.module is not None and find_spec(self.module) is None:
            raise MissingExtraError(
                f"{self.name} needs {self.module}: pip install 'samdomain[geo]'"
            )
        if self.needs_crs and crs is None:
            raise InputError(
                f"{self.name} is in {_GEOJSON_CRS}, but the input has no CRS to come from: "
                "give it one, or take gpkg"
            )


def format_named(name: str) -> VectorFormat:
    """Return a format by its name in commands, which is its files' extension.

    Raises:
        InputError: no format has the name.
    """
    if name not in _FORMATS:
        raise InputError(f"--format {name!r} is not known: known are {', '.join(_FORMATS)}")
    return _FORMATS[name]


def format_of(path: Path) -> VectorFormat:
    """Return the format that a file's extension stands for.

    Raises:
        InputError: no format has the extension.
    """
    extension = path.suffix.removeprefix(".").lower()
    if extension not in _FORMATS:
        known = ", ".join(f".{name}" for name in _FORMATS)
        raise InputError(f"{path} has no extension of a known format: known are {known}")
    return _FORMATS[extension]


def write_polygons(objects: gpd.GeoDataFrame, path: Path, when: datetime) -> None:
    """Write polygons and, beside them, a QGIS style of the same name.

    A GeoPackage also carries the style inside, as the table `layer_styles` that QGIS looks
    for; `geopandas.read_file` without a layer then reads `polygons` and mentions the other in a
    warning. FlatGeobuf sorts the rows by place.

    Args:
        objects: rows with a polygon, several, or none.
        path: file to write, in the format that its extension stands for.
        when: time that a GeoPackage carries as that of its last change.
    """
    with warnings.catch_warnings():
        # A scene without a CRS makes polygons without one: that is no news.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        format_of(path).write(objects, path)
    qml = style_of(objects)
    path.with_suffix(".qml").write_text(qml, encoding="utf-8")
    if format_of(path) is GEOPACKAGE:
        embed_style(path, LAYER, qml, when)


def _write_geopackage(objects: gpd.GeoDataFrame, path: Path) -> None:
    pyogrio.write_dataframe(objects, path, driver="GPKG", layer=LAYER, geometry_type="MultiPolygon")


def _write_flatgeobuf(objects: gpd.GeoDataFrame, path: Path) -> None:
    # The format's index, which sorts the rows by place, cannot hold one without geometry.
    indexed = "NO" if objects.geometry.isna().any() else "YES"
    pyogrio.write_dataframe(
        objects,
        path,
        driver="FlatGeobuf",
        layer=LAYER,
        geometry_type="MultiPolygon",
        SPATIAL_INDEX=indexed,
    )


def _write_geojson(objects: gpd.GeoDataFrame, path: Path) -> None:
    if objects.crs != _GEOJSON_CRS:
        logger.warning(
            "GeoJSON is in %s, as RFC 7946 demands: coordinates are transformed to it",
            _GEOJSON_CRS,
        )
    located = objects.to_crs(_GEOJSON_CRS)
    pyogrio.write_dataframe(located, path, driver="GeoJSON", layer=LAYER, RFC7946="YES")


def _write_parquet(objects: gpd.GeoDataFrame, path: Path) -> None:
    objects.to_parquet(path, index=False)


GEOPACKAGE = VectorFormat("GeoPackage", "gpkg", _write_geopackage)
"""The default: one file, any CRS, styles inside."""

_FORMATS = {
    one.extension: one
    for one in (
        GEOPACKAGE,
        VectorFormat("GeoParquet", "parquet", _write_parquet, module="pyarrow"),
        VectorFormat("FlatGeobuf", "fgb", _write_flatgeobuf),
        VectorFormat("GeoJSON", "geojson", _write_geojson, needs_crs=True),
    )
}
