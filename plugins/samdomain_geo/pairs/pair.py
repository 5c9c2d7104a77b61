"""Two rasters of one place at two dates, read together on the grid of the earlier one."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window, intersect

from samdomain.errors import InputError
from samdomain_geo.pairs.aligned import Placing, aligned
from samdomain_geo.scenes.raster import RGB, Scene, open_scene

# A look at the whole overlap reads it in small where that is cheap, as `Scene.sample` does ...
_THUMBNAIL = 1024
# ... and otherwise this many windows each way, of this side.
_PLACES, _SIDE = 8, 128

# From this many pixels of the grid in one of AFTER's (in area) a warning is due.
_COARSE = 3.0

logger = logging.getLogger(__name__)


class Seen(NamedTuple):
    """Pixels of a window at both dates.

    Attributes:
        before: (bands, rows, columns) as stored.
        after: the same of the later date.
        valid: (rows, columns), where both dates have data.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two open rasters on one grid.

    Attributes:
        before: the earlier one, whose grid it is.
        after: the later one, viewed on that grid.
        overlap: pixels of the grid outside of which one of them has no data.
        ratio: pixels of the grid that one of the later raster's own covers.
    """

    before: Scene
    after: Scene
    overlap: Window
    ratio: float = 1.0

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> Seen:
        """Read a window at both dates; see `Scene.read`. Outside the overlap nothing is read."""
        rows, columns = shape or (round(window.height), round(window.width))
        if not intersect([window, self.overlap]):
            nothing = np.zeros((len(self.before.bands), rows, columns), np.float32)
            return Seen(nothing, nothing, np.zeros((rows, columns), bool))
        before, known = self.before.read(window, (rows, columns))
        after, valid = self.after.read(window, (rows, columns))
        return Seen(before, after, known & valid)

    def looks(self) -> Iterator[Seen]:
        """Read pixels from all over the overlap, in bounded memory."""
        rows, columns = round(self.overlap.height), round(self.overlap.width)
        longer = max(rows, columns)
        small = all(one.dataset.overviews(one.bands[0]) for one in (self.before, self.after))
        if small or longer <= 4 * _THUMBNAIL:
            scale = min(1.0, _THUMBNAIL / longer)
            yield self.read(self.overlap, (round(rows * scale) or 1, round(columns * scale) or 1))
            return
        for window in self.windows(_SIDE, _PLACES):
            yield self.read(window)

    def windows(self, side: int, places: int) -> Iterator[Window]:
        """Return windows on a grid over the overlap, at most `places` each way, without gaps.

        Args:
            side: side of a window in pixels; less where the overlap is smaller.
            places: how many there are each way at most.
        """
        starts = [
            np.unique(np.linspace(0, max(0, length - side), min(places, -(-length // side))))
            for length in (round(self.overlap.height), round(self.overlap.width))
        ]
        height = min(side, round(self.overlap.height))
        width = min(side, round(self.overlap.width))
        for top in starts[0].astype(int).tolist():
            for left in starts[1].astype(int).tolist():
                column, row = round(self.overlap.col_off) + left, round(self.overlap.row_off) + top
                yield Window(column, row, width, height)

    def warn(self) -> None:
        """Warn of what makes a comparison weak, and is no mistake."""
        if self.ratio >= _COARSE:
            logger.warning(
                "a pixel of %s covers %.1f of %s: what is finer in the latter has nothing to be "
                "compared with; give the coarser one first to compare on its grid",
                self.after.name,
                self.ratio,
                self.before.name,
            )
        if self.before.crs is None:
            logger.warning(
                "neither raster has a CRS: they are compared pixel by pixel, and areas stay empty"
            )

    def has_data(self) -> bool:
        """Tell whether both dates have data anywhere together."""
        if any(seen.valid.any() for seen in self.looks()):
            return True
        # A few valid pixels may hide between the looks: all is read before none is said to be.
        return any(self.read(window).valid.any() for window in self.windows(2048, 1 << 20))


@dataclass(frozen=True)
class PairSource:
    """Open a pair of rasters, in any process.

    Attributes:
        before: raster of the earlier date, as `open_scene` takes it.
        after: raster of the later date.
        bands: one-based bands of both; None for their own choice.
        after_bands: those of the later one, where they differ.
        nodata: value that is nodata in both, in place of their own.
        shift: columns and rows by which the later date lies too far to the right and down.
    """

    before: str
    after: str
    bands: tuple[int, ...] | None = None
    after_bands: tuple[int, ...] | None = None
    nodata: float | None = None
    shift: tuple[float, float] = (0.0, 0.0)

    @contextmanager
    def open(self) -> Iterator[Pair]:
        """Open both rasters.

        Raises:
            InputError: one cannot be read, they do not meet, or their bands do not correspond.
        """
        with ExitStack() as stack:
            before = stack.enter_context(open_scene(self.before, self.bands, self.nodata))
            own = self.after_bands or self.bands
            after = stack.enter_context(open_scene(self.after, own, self.nodata))
            _check_bands(before, after, named=own is not None)
            placing = Placing.of(after, before)
            overlap = placing.overlap(before)
            if overlap is None:
                raise InputError(
                    f"{before.path} and {after.path} do not overlap: are both of the same place, "
                    "and is the CRS of each the right one?"
                )
            view = stack.enter_context(aligned(after, before, self.shift))
            yield Pair(before, view, overlap, placing.ratio)


def _check_bands(before: Scene, after: Scene, *, named: bool) -> None:
    if len(before.bands) != len(after.bands):
        raise InputError(
            f"--bands names {len(before.bands)} bands and --after-bands {len(after.bands)}: "
            "give as many of both"
        )
    counts = [_colours(scene) for scene in (before, after)]
    if named or counts[0] == counts[1] or all(map(_is_marked, (before, after))):
        return
    raise InputError(
        f"{before.path} has {counts[0]} bands and {after.path} has {counts[1]}: name those that "
        "correspond with --bands (and --after-bands, where their numbers differ)"
    )


def _colours(scene: Scene) -> int:
    return sum(one != ColorInterp.alpha for one in scene.dataset.colorinterp)


def _is_marked(scene: Scene) -> bool:
    return set(RGB) <= {*scene.dataset.colorinterp}
