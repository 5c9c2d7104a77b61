"""Scenes with labelled polygons, and folders of rasters or pairs, as training data."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samdomain_geo.data.labels import Labels
    from samdomain_geo.data.pair_data_module import PairDataModule
    from samdomain_geo.data.polygon_objects import PolygonObjects
    from samdomain_geo.data.raster_folders import RasterFolders
    from samdomain_geo.data.scene_data_module import SceneDataModule
    from samdomain_geo.data.scene_source import SceneSource

__all__ = [
    "Labels",
    "PairDataModule",
    "PolygonObjects",
    "RasterFolders",
    "SceneDataModule",
    "SceneSource",
]

# Names resolve on first use: Lightning takes seconds to import, and scenes are segmented without.
_ROOMS = {
    "Labels": "labels",
    "PairDataModule": "pair_data_module",
    "PolygonObjects": "polygon_objects",
    "RasterFolders": "raster_folders",
    "SceneDataModule": "scene_data_module",
    "SceneSource": "scene_source",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'samdomain_geo.data' has no attribute {name!r}")
    return getattr(import_module(f"samdomain_geo.data.{_ROOMS[name]}"), name)
