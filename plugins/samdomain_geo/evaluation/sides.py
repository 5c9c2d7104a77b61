"""Find out what a user names as a map or as its truth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyogrio
from pyogrio.errors import DataSourceError

from samdomain.errors import InputError
from samdomain_geo.prompts.geoparquet import EXTENSIONS, geometry_kinds
from samdomain_geo.scenes.source import file_name, is_remote

_RECORD = "run.json"

# Results of ours in a folder.
_MASKS = ("mask.tif",)
_POLYGONS = ("polygons.gpkg", "polygons.parquet", "polygons.fgb", "polygons.geojson")


@dataclass(frozen=True)
class Side:
    """A map, or the truth about it.

    Attributes:
        path: file or URL.
        vector: it holds geometries; else it is for GDAL to read as a raster.
        note: why this file of a folder was taken; empty where the file was named.
    """

    path: str
    vector: bool
    note: str = ""

    @property
    def name(self) -> str:
        """Name of the file, without the way to it."""
        return file_name(self.path)


def find_sides(
    predicted: str | Path, truth: str | Path, layer: str | None = None
) -> tuple[Side, Side]:
    """Find out what a map and its truth are.

    Of a folder that holds the map as pixels and as polygons that file is taken which is of the
    truth's kind: polygons for polygons, the mask for a raster and for points.

    Args:
        predicted: see `find_side`.
        truth: see `find_side`.
        layer: layer of the truth, where it has several.

    Raises:
        InputError: one does not exist, or is a folder that holds no result.
    """
    true = find_side(truth)
    if not true.vector:
        kind, results = "a raster", (*_MASKS, *_POLYGONS)
    elif _holds_points(true, layer):
        kind, results = "points", (*_MASKS, *_POLYGONS)
    else:
        kind, results = "polygons", (*_POLYGONS, *_MASKS)
    found = find_side(predicted, results)
    folder = Path(predicted)
    if found.path == str(predicted):
        return found, true
    others = (_POLYGONS, _MASKS)[found.vector]
    other = next((name for name in others if (folder / name).is_file()), None)
    if found.vector != (kind == "polygons"):
        told = f"{folder} holds no {others[0]}: {found.name} was compared with {kind}."
    else:
        rest = "." if other is None else f"; to compare {other}, name {folder / other}."
        told = f"Of {folder} {found.name} was compared, because the truth is {kind}{rest}"
    return replace(found, note=told), true


def find_side(given: str | Path, results: Sequence[str] = (*_MASKS, *_POLYGONS)) -> Side:
    """Find out whether a raster or a vector file is named; of a folder of results, which file.

    Args:
        given: file, URL, or folder that a command of ours wrote.
        results: names of the files that a folder may stand for, the one that is preferred first.

    Raises:
        InputError: it does not exist, or the folder holds no result.
    """
    path = str(given)
    if is_remote(path):
        return Side(path, vector=False)
    if Path(path).is_dir() and (result := _result_of(Path(path), results)) is not None:
        path = str(result)
    local = "://" not in path and not path.startswith("/vsi")
    if local and not Path(path).exists():
        raise InputError(f"{path} does not exist: give a raster or a vector file")
    side = Side(path, vector=_is_vector(path))
    if Path(path).is_dir() and not side.vector:
        raise InputError(f"{path} holds neither {_MASKS[0]} nor {_POLYGONS[0]}: give a file")
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


def _result_of(folder: Path, results: Sequence[str]) -> Path | None:
    recorded = _recorded(folder)
    names = [name for name in results if name in recorded] or results
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


def _holds_points(side: Side, layer: str | None) -> bool:
    """Tell whether a vector file says that it holds nothing but points."""
    if Path(side.path).suffix.lower() in EXTENSIONS:
        kinds = geometry_kinds(Path(side.path))
    else:
        layers = pyogrio.list_layers(side.path)
        kinds = {kind for name, kind in layers if kind is not None and layer in {None, name}}
    return bool(kinds) and all("Point" in kind for kind in kinds)
