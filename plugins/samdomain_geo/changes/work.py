"""Compare the chips of two dates for the blocks of a scene."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain_geo.classes.probability import Network, ProbabilityWorker, count_chips
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.pairs.pair import Pair, PairSource
from samdomain_geo.pairs.radiometry import Radiometry
from samdomain_geo.scenes.chips import Chips
from samdomain_geo.scenes.nodata import parse_nodata
from samdomain_geo.scenes.raster import parse_bands


@dataclass(frozen=True, eq=False)
class StretchedPair:
    """Two dates as a network sees them, the later one's bands behind the earlier one's.

    Attributes:
        pair: both dates on one grid.
        radiometry: how their values become 0 to 255.
    """

    pair: Pair
    radiometry: Radiometry

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.pair.before.rows

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return self.pair.before.columns

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return pixels (2 x bands, rows, columns), and where both dates are valid."""
        seen = self.pair.read(window)
        return np.concatenate(self.radiometry(seen)), seen.valid


@dataclass(frozen=True)
class ChangeWork:
    """Work that blends what a network says of chips of two dates.

    Attributes:
        load: loads the network; it is sent to other processes, so it can be pickled.
        fill: stretched value that stands for nodata, one a band of both dates.
        chips: the grid of chips.
    """

    load: Callable[[], Network]
    fill: tuple[float, ...]
    chips: Chips

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator[ProbabilityWorker]:
        """Open both dates and load the network."""
        with pair_of(manifest).open() as pair:
            pixels = StretchedPair(pair, radiometry_of(manifest))
            yield ProbabilityWorker(pixels, self.load(), self.chips, self.fill)

    def count_chips(self, manifest: Manifest) -> dict[int, int]:
        """Return how many chips each block is blended from, by its number."""
        return count_chips(self.chips, manifest)


def pair_of(manifest: Manifest) -> PairSource:
    """Return the two dates of a run as the run sees them."""
    given = manifest.parameters
    return PairSource(
        manifest.scene.path,
        manifest.inputs["after"]["path"],
        parse_bands(given["bands"]),
        parse_bands(given["after_bands"]),
        parse_nodata(given["nodata"]),
        tuple(manifest.measured["applied_shift"]),
    )


def radiometry_of(manifest: Manifest) -> Radiometry:
    """Return how the values of both dates become 0 to 255 in a run."""
    return Radiometry.read(manifest.measured["radiometry"])
