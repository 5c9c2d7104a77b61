"""Read the names that a raster gives its classes."""

import tempfile
from pathlib import Path
from xml.etree import ElementTree

import rasterio.shutil

from samdomain_geo.scenes.raster import Scene

TAG = "SAMDOMAIN_CLASSES"
"""Tag of our rasters of classes: their names by value, since a GeoTIFF has no place for them."""

SEPARATOR = ";"


def class_names(scene: Scene) -> dict[int, str]:
    """Return the category names of the first of a scene's bands, by value.

    Args:
        scene: raster of classes; one without category names has no names.
    """
    told = scene.dataset.tags().get(TAG)
    if told is not None:
        return {value: name for value, name in enumerate(told.split(SEPARATOR)) if name}
    # rasterio has no door to category names; GDAL writes them into a virtual copy.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.vrt"
        rasterio.shutil.copy(scene.dataset, copy, driver="VRT")
        root = ElementTree.parse(copy).getroot()
    band = root.find(f"VRTRasterBand[@band='{scene.bands[0]}']/CategoryNames")
    names = [] if band is None else [category.text or "" for category in band]
    return {value: name for value, name in enumerate(names) if name}
