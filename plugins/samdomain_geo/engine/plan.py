"""Plan a run over a scene: which blocks there are, and all that decides their bytes."""

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any, Self

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from samdomain import __version__
from samdomain.errors import InputError
from samdomain_geo.engine.identity import Identity
from samdomain_geo.scenes.raster import COG_PROFILE, Scene

SCHEMA = 2
"""Version of the manifest's form; work of another one is not gone on with."""

TILE = int(COG_PROFILE["blocksize"])
"""Side in pixels of the tiles of the rasters that we write; blocks are multiples of it."""

# They change nothing in the blocks: when the run began, where its input lies, and which blocks
# have work, which follows from the rest.
_FREE = ("date", "digest", "scene.path", "inputs.prompts.path", "inputs.after.path", "chosen")


@dataclass(frozen=True)
class Grid:
    """The pixels of a scene and their place.

    Attributes:
        rows: height in pixels.
        columns: width in pixels.
        crs: coordinate reference system as WKT, or None.
        transform: map from (column, row) to coordinates of the CRS, row by row, six numbers.
    """

    rows: int
    columns: int
    crs: str | None
    transform: tuple[float, ...]

    @classmethod
    def of(cls, scene: Scene) -> Self:
        """Return the grid of a scene."""
        crs = None if scene.crs is None else scene.crs.to_wkt(version="WKT2_2019")
        return cls(scene.rows, scene.columns, crs, tuple(scene.transform)[:6])

    @property
    def affine(self) -> Affine:
        """Map from (column, row) to coordinates of the CRS."""
        return Affine(*self.transform)

    def profile(self) -> dict[str, Any]:
        """Return what rasterio is told of the grid to write a raster on it."""
        crs = None if self.crs is None else CRS.from_wkt(self.crs)
        return {
            "width": self.columns,
            "height": self.rows,
            "crs": crs,
            "transform": self.affine,
        }


@dataclass(frozen=True)
class Block:
    """A part of a scene that one step of work owns; blocks do not overlap.

    Attributes:
        index: number of the block, row by row.
        row: number of its row of blocks.
        column: number of its column of blocks.
        window: pixels of the scene that it owns.
        context: window with the halo around it, cut at the scene's edges.
    """

    index: int
    row: int
    column: int
    window: Window
    context: Window

    @property
    def core(self) -> tuple[slice, slice]:
        """Rows and columns of the block's own pixels inside its context."""
        top = round(self.window.row_off - self.context.row_off)
        left = round(self.window.col_off - self.context.col_off)
        height, width = round(self.window.height), round(self.window.width)
        return slice(top, top + height), slice(left, left + width)


@dataclass(frozen=True)
class Tiling:
    """How a grid is cut into blocks.

    Attributes:
        block: side of a block in pixels, a multiple of 512.
        halo: pixels around a block that are looked at beside its own.
    """

    block: int = 2048
    halo: int = 0

    def __post_init__(self) -> None:
        if self.block < TILE or self.block % TILE:
            raise InputError(f"--block is {self.block}: give a multiple of {TILE}")
        if not 0 <= self.halo <= self.block:
            raise InputError(f"--halo is {self.halo}: give 0 to {self.block}, the block's side")


@dataclass(frozen=True)
class Manifest:
    """All that decides what a run's blocks hold; the same manifest makes the same bytes.

    Attributes:
        verb: command that the run belongs to.
        scene: the raster that is looked at.
        grid: its pixels.
        tiling: its blocks.
        threads: threads of the network in one worker.
        date: when the run began (ISO 8601, UTC); written into outputs in place of the clock.
        parameters: the command's flags, as JSON holds them.
        measured: settings that were measured in the inputs, as the stretch.
        inputs: further inputs by name, as weights, adapters and prompts.
        versions: software that computes the blocks.
        chosen: numbers of the blocks that have work, in their order; None is all of them.
        schema: version of the manifest's form.
    """

    verb: str
    scene: Identity
    grid: Grid
    tiling: Tiling
    threads: int
    date: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    chosen: tuple[int, ...] | None = None
    schema: int = SCHEMA

    @cached_property
    def when(self) -> datetime:
        """When the run began."""
        return datetime.fromisoformat(self.date)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        side = self.tiling.block
        return math.ceil(self.grid.rows / side), math.ceil(self.grid.columns / side)

    def __len__(self) -> int:
        rows, columns = self.shape
        return rows * columns

    @property
    def todo(self) -> Sequence[int]:
        """Numbers of the blocks that have work, in their order."""
        return range(len(self)) if self.chosen is None else self.chosen

    def block(self, index: int) -> Block:
        """Return a block by its number."""
        row, column = divmod(index, self.shape[1])
        side, halo = self.tiling.block, self.tiling.halo
        return Block(
            index,
            row,
            column,
            self._window(row * side, column * side, side, 0),
            self._window(row * side, column * side, side, halo),
        )

    def blocks(self) -> Iterator[Block]:
        """Return all blocks, row by row."""
        return (self.block(index) for index in range(len(self)))

    def holding(self, x: float, y: float) -> int:
        """Return the number of the block that holds a place of the scene, in pixels."""
        last_row, last_column = (count - 1 for count in self.shape)
        row = min(max(0, int(y // self.tiling.block)), last_row)
        return row * self.shape[1] + min(max(0, int(x // self.tiling.block)), last_column)

    def _window(self, top: int, left: int, side: int, halo: int) -> Window:
        bottom, right = min(self.grid.rows, top + side + halo), left + side + halo
        right = min(self.grid.columns, right)
        top, left = max(0, top - halo), max(0, left - halo)
        return Window(left, top, right - left, bottom - top)

    def to_json(self) -> str:
        """Return the manifest as JSON, with a digest of itself."""
        content = json.loads(json.dumps(asdict(self), default=str))
        return json.dumps(content | {"digest": _digest(content)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a manifest from JSON.

        Raises:
            InputError: it was written by a version with another form, or is not as it was
                written.
        """
        try:
            content = json.loads(text)
            digest, schema = content.pop("digest", None), content["schema"]
        except (ValueError, KeyError, TypeError, AttributeError):
            content, digest, schema = {}, None, SCHEMA
        if schema != SCHEMA:
            raise InputError(
                f"the work is in form {schema}, and this version knows form {SCHEMA}: "
                "finish it with the version that began it, or take --overwrite to begin anew"
            )
        if digest != _digest(content):
            raise InputError(
                "the manifest of the work is damaged, or was changed: begin anew with --overwrite"
            )
        grid = content["grid"] | {"transform": tuple(content["grid"]["transform"])}
        parts = {
            "scene": Identity(**content["scene"]),
            "grid": Grid(**grid),
            "tiling": Tiling(**content["tiling"]),
            "chosen": None if content["chosen"] is None else tuple(content["chosen"]),
        }
        return cls(**content | parts)

    def differences(self, other: Self) -> list[str]:
        """Name what is not as in another manifest and would change the blocks."""
        # Both go through JSON, so that tuples and lists are the same.
        mine, theirs = (_flat(json.loads(one.to_json())) for one in (self, other))
        return [
            f"{name} was {theirs.get(name)!r} and is {mine.get(name)!r}"
            for name in sorted({*mine, *theirs} - {*_FREE})
            if mine.get(name) != theirs.get(name)
        ]


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def software() -> dict[str, str]:
    """Return the versions of what computes blocks."""
    return {
        "samdomain": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": np.__version__,
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
        "geos": shapely.geos_version_string,
    }


def now() -> str:
    """Return the time as a manifest holds it.

    The environment's SOURCE_DATE_EPOCH (seconds, reproducible-builds.org) takes its place.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.now(UTC) if given is None else datetime.fromtimestamp(int(given), UTC)
    return moment.isoformat(timespec="seconds")


def _flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat
