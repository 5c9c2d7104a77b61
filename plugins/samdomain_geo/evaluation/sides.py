"""Find out what a user names as a map or as its truth."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyogrio
from pyogrio.errors import DataSourceError

from samdomain.errors import InputError
from samdomain_geo.prompts.geoparquet import EXTENSIONS
from samdomain_geo.scenes.source import file_name, is_remote

_RECORD = "run.json"

# Results of ours in a folder, the one that is looked at first.
_RESULTS = ("mask.tif", "polygons.gpkg", "polygons.parquet", "polygons.fgb", "polygons.geojson")


@dataclass(frozen=True)
class Side:
    """A map, or the truth about it.

    Attributes:
        path: file or URL.
        vector: it holds geometries; else it is for GDAL to read as a raster.
    """

    path: str
    vector: bool

    @property
    def name(self) -> str:
        """Name of the file, without the way to it."""
        return file_name(self.path)


def find_side(given: str | Path) -> Side:
    """Find out whether a raster or a vector file is named; of a folder of results, which file.

    Args:
        given: file, URL, or folder that a command of ours wrote.

    Raises:
        InputError: it does not exist, or the folder holds no result.
    """
    path = str(given)
    if is_remote(path):
        return Side(path, vector=False)
    if Path(path).is_dir() and (result := _result_of(Path(path))) is not None:
        path = str(result)
    local = "://" not in path and not path.startswith("/vsi")
    if local and not Path(path).exists():
        raise InputError(f"{path} does not exist: give a raster or a vector file")
    side = Side(path, vector=_is_vector(path))
    if Path(path).is_dir() and not side.vector:
        raise InputError(f"{path} holds neither {' nor '.join(_RESULTS[:2])}: give a file")
    return side


def default_folder(predicted: str | Path) -> Path:
    """Return where the evaluation of a map goes: the folder `evaluation` beside it, or in it.

    Raises:
        InputError: it is behind a URL.
    """
    if is_remote(str(predicted)):
        raise InputError(f"{predicted} is behind a URL: give a folder with --out")
    path = Path(predicted)
    return (path if path.is_dir() else path.parent) / "evaluation"


def _result_of(folder: Path) -> Path | None:
    names = [name for name in _RESULTS if name in _recorded(folder)] or _RESULTS
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _recorded(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / _RECORD).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _is_vector(path: str) -> bool:
    if Path(path).suffix.lower() in EXTENSIONS:
        return True
    try:
        return any(kind is not None for _, kind in pyogrio.list_layers(path))
    except DataSourceError:
        return False
