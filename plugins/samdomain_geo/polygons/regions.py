"""Trace the regions of a raster of labels, block by block."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import shapes
from rasterio.io import DatasetReader
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.engine.block_store import Arrays
from samdomain_geo.engine.packed import pack
from samdomain_geo.engine.plan import Block, Manifest
from samdomain_geo.polygons.labelling import CORNERS, label_regions
from samdomain_geo.polygons.regularization import regularized
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import Scene, open_scene
from samdomain_geo.scenes.source import open_source

CONNECTIVITIES = (4, CORNERS)
"""Neighbours of a pixel that belong to the same region: by edges, or by corners too."""

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")

Polygons = NDArray[np.object_]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RegionShaping:
    """What becomes of the outlines of regions.

    Attributes:
        simplify: corners whose triangle has a smaller area than the square of this length, in
            units of the CRS, are dropped; 0 keeps all.
        regularize: walls are straightened and corners squared.
        measured: the area of the exact outline is noted too.
    """

    simplify: float = 0.0
    regularize: bool = False
    measured: bool = False


@dataclass(frozen=True)
class Scores:
    """How sure each pixel of a raster of labels is.

    Attributes:
        path: raster on the same grid, a band a value or one for all, scaled to 0 to 1.
        shift: band of a value, counted from 1, less the value.
        band: band of all values instead.
    """

    path: str
    shift: int = 0
    band: int | None = None

    def read(self, dataset: DatasetReader, window: Window, values: Labels) -> NDArray[np.float64]:
        """Return how sure the pixels of a window (rows, columns) are of their values."""
        sure = np.zeros(values.shape)
        for value in np.unique(values).tolist():
            band = self.band or value + self.shift
            if 1 <= band <= dataset.count:
                there = values == value
                sure[there] = dataset.read(band, window=window)[there] * dataset.scales[band - 1]
        return sure


@dataclass(frozen=True)
class RegionsWork:
    """Work that traces connected regions of one value inside each block.

    A block holds for each of its regions: `first` pixel of the scene, `value`, exact `area`;
    along its four edges the regions' numbers (`top`, `bottom`, `left`, `right`), to join regions
    across blocks; and polygons as WKB, `ends` telling where each one ends. A region that stays
    inside the block is finished: in coordinates of the CRS, with `measures`. One that is `cut`
    by the block's edge is in pixels of the scene, to be joined first.

    Attributes:
        band: band of the raster, counted from 1.
        nodata: value that is no label; by default the file's own and 0.
        connectivity: 4, or 8 to join regions that meet at corners only.
        shaping: what becomes of outlines.
        scores: how sure the pixels are; blocks then hold the sum over each region (`sure`) and
            its `pixels`.
    """

    band: int = 1
    nodata: int | None = None
    connectivity: int = 4
    shaping: RegionShaping = RegionShaping()
    scores: Scores | None = None

    @contextmanager
    def open(self, manifest: Manifest) -> Iterator["_RegionsWorker"]:
        """Open the raster, and that of the scores."""
        with ExitStack() as stack:
            scene = stack.enter_context(open_scene(manifest.scene.path, (self.band,)))
            finisher = Finisher.of(scene, self.shaping)
            scores = stack.enter_context(open_source(self.scores.path)) if self.scores else None
            yield _RegionsWorker(self, scene, finisher, scores)


class Finisher:
    """Give joined outlines their last form and measure them."""

    def __init__(
        self, transform: Affine, ellipsoid: Ellipsoid | None, shaping: RegionShaping
    ) -> None:
        self._transform, self._ellipsoid, self._shaping = transform, ellipsoid, shaping

    @classmethod
    def of(cls, scene: Scene, shaping: RegionShaping) -> "Finisher":
        """Return the finisher of a raster's regions."""
        return cls(scene.transform, Ellipsoid.of(scene.crs), shaping)

    def __call__(self, polygons: Polygons) -> tuple[Polygons, NDArray[np.float64]]:
        """Place outlines in pixels in the CRS; return them with area and perimeter (N, 2)."""
        placed = gpd.GeoSeries(self._place(polygons))
        if self._shaping.regularize:
            placed = regularized(placed, self._transform, self._ellipsoid)
        return np.asarray(placed.array), self._measure(placed)

    def measure(self, placed: Polygons) -> NDArray[np.float64]:
        """Return area and perimeter (N, 2) of outlines that have their last form."""
        return self._measure(gpd.GeoSeries(placed))

    def areas(self, polygons: Polygons) -> NDArray[np.float64]:
        """Return the area in square metres of outlines in pixels, as they are."""
        return self._measure(gpd.GeoSeries(self._place(polygons)))[:, 0]

    def simplified(self, polygons: Polygons) -> Polygons:
        """Simplify outlines in pixels that cover a block without gaps, but not its edges.

        A border is simplified once for both of its sides (Visvalingam and Whyatt 1993, over the
        whole coverage), so that neighbours neither overlap nor part. The block's edges stay as
        they are, so that neighbours in the next block meet too.
        """
        # Areas of triangles all scale alike: pixels give what the CRS would, and stay whole.
        pixel = abs(self._transform.determinant) ** 0.5
        # Neighbours share a border where they share its vertices: there must be one a pixel.
        dense = shapely.transform(shapely.segmentize(polygons, 1.0), np.rint)
        return shapely.coverage_simplify(
            dense, self._shaping.simplify / pixel, simplify_boundary=False
        )

    def _place(self, polygons: Polygons) -> Polygons:
        def place(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(self._transform @ (xy[:, 0], xy[:, 1]), axis=1)

        return shapely.transform(polygons, place)

    def _measure(self, placed: gpd.GeoSeries) -> NDArray[np.float64]:
        if self._ellipsoid is None:
            return np.full((len(placed), 2), np.nan)
        return np.array(self._ellipsoid.measure(placed), np.float64).reshape(2, -1).T


@dataclass(frozen=True, eq=False)
class _Source:
    """The labels of a block, where they are some, and how sure they are."""

    labels: Labels
    valid: NDArray[np.bool_]
    sure: NDArray[np.float64] | None


class _RegionsWorker:
    def __init__(
        self,
        work: RegionsWork,
        scene: Scene,
        finisher: Finisher,
        scores: DatasetReader | None,
    ) -> None:
        check_labels(scene)
        self._work, self._scene, self._finisher, self._scores = work, scene, finisher, scores

    def read(self, block: Block) -> _Source | None:
        dataset, band, window = self._scene.dataset, self._work.band, block.window
        try:
            values = dataset.read(band, window=window)
            if self._work.nodata is None:
                valid = (dataset.read_masks(band, window=window) > 0) & (values != 0)
            else:
                valid = values != self._work.nodata
        except RasterioError as error:
            raise InputError(
                f"{self._scene.path} cannot be read: it is cut off or damaged"
            ) from error
        if values.dtype == np.uint64 and values.max() > np.iinfo(np.int64).max:
            raise InputError("the raster holds values above 2^63 - 1, which no vector format can")
        if not valid.any():
            return None
        labels, sure = values.astype(np.int64), None
        if self._scores is not None and self._work.scores is not None:
            sure = self._work.scores.read(self._scores, window, labels)
        return _Source(labels, valid, sure)

    def compute(self, block: Block, source: _Source) -> Arrays:
        regions = label_regions(source.labels, source.valid, self._work.connectivity)
        exact, outlines = self._trace(regions.labels)
        edges = _edges(regions.labels)
        cut = _touching(edges, len(outlines))
        top, left = round(block.window.row_off), round(block.window.col_off)
        corner = np.array([left, top])
        outlines = shapely.transform(shapely.normalize(outlines), lambda xy: xy + corner)
        measures = np.full((len(outlines), 2), np.nan)
        outlines[~cut], measures[~cut] = self._finisher(outlines[~cut])
        row, column = np.divmod(regions.first, regions.labels.shape[1])
        arrays: dict[str, NDArray[np.generic]] = {
            "first": (row + top) * self._scene.columns + column + left,
            "value": regions.values,
            "cut": cut,
            "measures": measures,
            **pack(outlines),
            **edges,
        }
        if self._work.shaping.measured:
            moved = shapely.transform(exact, lambda xy: xy + corner)
            arrays["area"] = self._finisher.areas(moved)
        if source.sure is not None:
            number, flat = len(outlines) + 1, regions.labels.ravel()
            arrays["sure"] = np.bincount(flat, source.sure.ravel(), number)[1:]
            arrays["pixels"] = np.bincount(flat, minlength=number)[1:]
        return arrays

    def _trace(self, labels: NDArray[np.int32]) -> tuple[Polygons, Polygons]:
        """Return the outline of each label from 1 on: as it is, and simplified."""
        if self._work.shaping.simplify == 0:
            _, exact = _outlines(labels, labels > 0, self._work.connectivity)
            return exact, exact
        # What is between the regions takes part, so that all but the block's edges has two sides.
        codes, exact = _outlines(labels, None, self._work.connectivity)
        return exact[codes > 0], self._finisher.simplified(exact)[codes > 0]


def check_labels(scene: Scene) -> None:
    """Refuse a raster whose first band cannot be labels.

    Raises:
        InputError: it holds no integers.
    """
    if scene.dtype not in _INTEGERS:
        raise InputError(
            f"{scene.path} holds {scene.dtype}, but labels are integers: round or threshold it"
        )


def _outlines(
    labels: NDArray[np.int32], mask: NDArray[np.bool_] | None, connectivity: int
) -> tuple[NDArray[np.int64], Polygons]:
    """Trace labels along pixel edges; return the label of each outline, in their order, and it."""
    traced = list(shapes(labels, mask=mask, connectivity=connectivity))
    codes = np.array([label for _, label in traced], np.int64)
    order = np.argsort(codes, kind="stable")
    # All at once: shapely makes polygons one by one ten times as slowly.
    polygons = [geometry["coordinates"] for geometry, _ in traced]
    rings = [ring for polygon in polygons for ring in polygon]
    corners = np.array([corner for ring in rings for corner in ring], np.float64).reshape(-1, 2)
    offsets = _offsets(rings), _offsets(polygons)
    outlines = shapely.from_ragged_array(shapely.GeometryType.POLYGON, corners, offsets)[order]
    # An outline can touch itself at a corner.
    broken = ~shapely.is_valid(outlines)
    outlines[broken] = shapely.make_valid(outlines[broken], method="structure")
    return codes[order], outlines


def _offsets(groups: list[Any]) -> NDArray[np.int64]:
    return np.cumsum([0, *(len(group) for group in groups)])


def _edges(labels: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    sides = {"top": labels[0], "bottom": labels[-1], "left": labels[:, 0], "right": labels[:, -1]}
    return {name: np.ascontiguousarray(side) for name, side in sides.items()}


def _touching(edges: dict[str, NDArray[np.int32]], count: int) -> NDArray[np.bool_]:
    """Tell of each region, from label 1 on, whether it touches an edge of the block."""
    touching = np.zeros(count + 1, dtype=bool)
    for side in edges.values():
        touching[side] = True
    return touching[1:]
