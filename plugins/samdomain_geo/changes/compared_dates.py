"""Compare two dates by what the user has: an adapter of change, one of classes, or none."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain_geo.changes.comparison import Comparison, finish_comparison, results
from samdomain_geo.changes.method import Method, method_for
from samdomain_geo.changes.work import ChangeWork, StretchedPair
from samdomain_geo.data.scene_chip import FILL
from samdomain_geo.engine.conduct import Conduct
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Manifest, Tiling
from samdomain_geo.engine.record import Stopwatch
from samdomain_geo.engine.station import network_threads
from samdomain_geo.given import Given
from samdomain_geo.pairs.pair import Pair, PairSource
from samdomain_geo.pairs.radiometry import Radiometry
from samdomain_geo.pairs.registration import Shift, estimate_shift
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.block_cache import block_cache
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import parse_bands
from samdomain_geo.scenes.source import open_source
from samdomain_geo.scenes.stretch import parse_stretch

_RGB = 3
_FAR = 1.0  # pixels: edges that lie farther apart look like change

logger = logging.getLogger(__name__)


def compare_dates(
    given: Given, after: str, tiling: Tiling, conduct: Conduct, clock: Stopwatch
) -> Comparison | Facts:
    """Tell what changed from one raster to another.

    Args:
        given: flags of the command; its scene is the earlier date.
        after: raster of the later date.
        tiling: blocks.
        conduct: how the run is carried out.
        clock: started with the command.

    Raises:
        InputError: the rasters cannot be compared, or the adapter is for something else.
        StoppedError: stopped half-way; `resume` goes on.
    """
    method = method_for(given)
    place = given.place(results(given.vector, method.meaning))
    if (ended := conduct.ended(place)) is not None:
        return ended
    source = _source(given, after, method)
    begun = conduct.begun(place)
    with block_cache(), _opened(source, given) as seen:
        pair, ellipsoid = seen.pixels.pair, Ellipsoid.of(seen.pixels.pair.before.crs)
        given.vector.check(pair.before.crs)
        given.shaping.check(ellipsoid)
        pixel = None if ellipsoid is None else pixel_width(pair.before, ellipsoid)
        chips = method.chips(pixel)
        threads = conduct.threads_at(place)
        with network_threads(threads):
            network = method.network(seen.pixels, chips, begun)
        work = ChangeWork(network.load, (FILL,) * 2 * len(pair.before.bands), chips)
        inputs = {
            "after": asdict(_identity(after)),
            "weights": network.weights,
            "adapter": network.adapter,
            # Loaded once here, so that a model that is not there stops the run before it begins.
            "engine": network.load().engine,
            "meaning": method.meaning.told(),
        }
        measured = {
            "method": method.name,
            "notes": [*seen.notes, *method.notes],
            **seen.told(),
            "chips": asdict(chips),
            "pixel_size": pixel,
            "first_sight": network.told,
            **network.measured,
        }
        bands = None if source.bands is None else list(source.bands)
        asked = replace(given, flags=dict(given.flags) | {"bands": bands})
        manifest = asked.manifest(pair.before, tiling, threads, measured, inputs)
        manifest = replace(manifest, chosen=tuple(_blocks(manifest, pair)))
    for note in manifest.measured["notes"]:
        logger.warning(note)
    clock.lap("prepare")
    return conduct.carry_out(
        place,
        manifest,
        work,
        lambda store, spent: finish_comparison(store, clock.seconds | spent),
    )


@dataclass(frozen=True, eq=False)
class _SeenPair:
    """Both dates as they will be compared, and what was measured on the way."""

    pixels: StretchedPair
    found: Shift
    applied: tuple[float, float]
    residual: Shift | None
    notes: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        return {
            "shift": self.found.told(),
            "applied_shift": list(self.applied),
            "residual_shift": None if self.residual is None else self.residual.told(),
            "radiometry": self.pixels.radiometry.told(),
        }


@contextmanager
def _opened(source: PairSource, given: Given) -> Iterator[_SeenPair]:
    """Open both dates, measure them, and move the later one where that is asked for."""
    with ExitStack() as stack:
        pair = stack.enter_context(source.open())
        pair.warn()
        if not pair.has_data():
            raise InputError(
                f"{source.before} and {source.after} have no data in common: where they overlap, "
                "one of them is nodata; is --nodata what it should be?"
            )
        rule = parse_stretch(given.flags["stretch"])
        radiometry = Radiometry.measure(pair, rule, given.flags["match"])
        found = estimate_shift(pair, radiometry)
        applied, residual = (0.0, 0.0), None
        if given.flags["align"] and found.known:
            applied = found.vector
            pair = stack.enter_context(replace(source, shift=applied).open())
            residual = estimate_shift(pair, radiometry)
        notes = (*_same(pair), *_shifted(found, align=given.flags["align"]))
        yield _SeenPair(StretchedPair(pair, radiometry), found, applied, residual, notes)


def _source(given: Given, after: str, method: Method) -> PairSource:
    bands, nodata = given.which
    if bands is None and method.channels != _RGB:
        bands = tuple(range(1, method.channels + 1))
    after_bands = parse_bands(given.flags["after_bands"])
    for flag, named in (("--bands", bands), ("--after-bands", after_bands)):
        if named is not None and len(named) != method.channels:
            raise InputError(
                f"{flag} names {len(named)}, but {method.taker} takes {method.channels}"
            )
    return PairSource(given.scene, after, bands, after_bands, nodata)


def _identity(path: str) -> Identity:
    with open_source(path) as dataset:
        return Identity.of(path, dataset.files)


def _same(pair: Pair) -> Iterator[str]:
    alike = [
        np.array_equal(seen.before[:, seen.valid], seen.after[:, seen.valid])
        for seen in pair.looks()
        if seen.valid.any()
    ]
    if alike and all(alike):
        yield "both rasters have the same pixels: is one of them the wrong file?"


def _shifted(found: Shift, *, align: bool) -> Iterator[str]:
    if not found.known:
        told = "none was applied" if align else "look at the preview"
        yield f"a shift between the dates could not be estimated: {told}"
    elif found.length >= _FAR and not align:
        yield (
            f"the dates lie about {found.length:.1f} pixels apart ({found.columns} columns, "
            f"{found.rows} rows), which looks like change at edges: --align moves the later one"
        )


def _blocks(manifest: Manifest, pair: Pair) -> Iterator[int]:
    """Return the blocks that reach into the overlap."""
    side, area = manifest.tiling.block, pair.overlap
    last_row = (round(area.row_off + area.height) - 1) // side
    last_column = (round(area.col_off + area.width) - 1) // side
    for row in range(round(area.row_off) // side, last_row + 1):
        for column in range(round(area.col_off) // side, last_column + 1):
            yield row * manifest.shape[1] + column
