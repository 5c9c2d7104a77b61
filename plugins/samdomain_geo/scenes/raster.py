"""Read scenes by window, and write rasters beside them."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from samdomain.errors import InputError, SamDomainError, StoppedError
from samdomain_geo.scenes.nodata import overruled
from samdomain_geo.scenes.source import file_name, is_remote, open_source

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

# A sample for the stretch reads a thumbnail of this size where one is cheap to have ...
_THUMBNAIL = 1024
# ... and otherwise this many windows on a grid, of this size: decimated reads without
# overviews would read the whole scene.
_SAMPLE_GRID = 8
_SAMPLE_WINDOW = 128

COG_PROFILE = {
    "driver": "COG",
    "blocksize": 512,
    "compress": "DEFLATE",
    "bigtiff": "IF_SAFER",  # the limit of 4 GB must be foreseen when the file is made
    "num_threads": "ALL_CPUS",
}


@dataclass(frozen=True, eq=False)
class Scene:
    """A raster that is open for reading, by the bands that the model sees.

    Attributes:
        path: file or URL as the user gave it.
        dataset: open rasterio dataset.
        bands: one-based bands in the order in which the model takes them.
        dtype: data type of the first of the bands, as stored.
    """

    path: str
    dataset: DatasetReader
    bands: tuple[int, ...]
    dtype: str

    @property
    def name(self) -> str:
        """Name of the file, without the way to it."""
        return file_name(self.path)

    @property
    def crs(self) -> CRS | None:
        """Coordinate reference system, or None where the raster has none."""
        return self.dataset.crs

    @property
    def transform(self) -> rasterio.Affine:
        """Map from (column, row) to coordinates of the CRS."""
        return self.dataset.transform

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.dataset.height

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return self.dataset.width

    def read(
        self, window: Window, shape: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window of the scene.

        Args:
            window: window in pixels, inside the scene.
            shape: (rows, columns) to resample the window to; its own by default.

        Returns:
            tuple: pixels (bands, rows, columns) as stored, and where they are valid (rows,
            columns): by nodata, alpha or mask, and finite.

        Raises:
            InputError: the file is damaged there.
            StoppedError: the file is behind a URL whose server failed.
        """
        rows, columns = shape or (round(window.height), round(window.width))
        how = {"window": window, "resampling": Resampling.average}
        try:
            stored = self.dataset.read(
                list(self.bands), out_shape=(len(self.bands), rows, columns), **how
            )
            valid = self._valid(stored, window)
        except RasterioError as error:
            raise self._unreadable(window) from error
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and so not valid
            pixels = stored.astype(np.float32)
        return pixels, valid & np.isfinite(pixels).all(axis=0)

    def thumbnail(self, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the whole scene with its longer side at most `side` pixels; see `read`."""
        scale = min(1.0, side / max(self.rows, self.columns))
        shape = max(1, round(self.rows * scale)), max(1, round(self.columns * scale))
        return self.read(Window(0, 0, self.columns, self.rows), shape)

    def sample(self) -> NDArray[np.float32]:
        """Return valid pixels (bands, pixels) from all over the scene, in bounded memory."""
        side = max(self.rows, self.columns)
        if side <= 4 * _THUMBNAIL or self.dataset.overviews(self.bands[0]):
            pieces = [self.thumbnail(_THUMBNAIL)]
        else:
            pieces = [self.read(window) for window in self._grid()]
        return np.concatenate([pixels[:, valid] for pixels, valid in pieces], axis=1)

    def _valid(self, stored: NDArray[Any], window: Window) -> NDArray[np.bool_]:
        """Tell where one of the bands is not nodata, and nothing is masked or transparent."""
        shape = stored.shape[1:]
        if ColorInterp.alpha not in self.dataset.colorinterp:
            bands = sorted(set(self.bands))
            masks = self.dataset.read_masks(bands, out_shape=(len(bands), *shape), window=window)
            return masks.any(axis=0)
        # GDAL's own mask heeds nodata or alpha, never both.
        alpha = self.dataset.colorinterp.index(ColorInterp.alpha) + 1
        opaque = self.dataset.read(alpha, out_shape=shape, window=window) > 0
        nodata = self.dataset.nodata
        return opaque if nodata is None else opaque & (stored != nodata).any(axis=0)

    def _unreadable(self, window: Window) -> SamDomainError:
        if is_remote(self.path):
            return StoppedError(
                f"{self.path} could not be read at {_told(window)}: its server failed, or the "
                "file is damaged; run again"
            )
        return InputError(
            f"{self.path} cannot be read at {_told(window)}: the file is cut off or damaged"
        )

    def _grid(self) -> Iterator[Window]:
        size = _SAMPLE_WINDOW
        for top in np.linspace(0, max(0, self.rows - size), _SAMPLE_GRID).astype(int):
            for left in np.linspace(0, max(0, self.columns - size), _SAMPLE_GRID).astype(int):
                height, width = min(size, self.rows - top), min(size, self.columns - left)
                yield Window(int(left), int(top), int(width), int(height))


@contextmanager
def open_scene(
    path: str | Path, bands: Sequence[int] | None = None, nodata: float | None = None
) -> Iterator[Scene]:
    """Open a raster for reading.

    Args:
        path: anything that GDAL opens as a raster; behind a URL, windows are read by range
            requests.
        bands: one-based bands; by default those that the file marks as red, green and blue,
            else the first three, else the first one three times.
        nodata: value that is nodata in place of the file's own; NaN where only NaN is.

    Raises:
        InputError: the file is missing, not a raster, damaged, or lacks a band, or no pixel
            can have the value of nodata.
        StoppedError: the file is behind a URL whose server failed.
    """
    where = str(path)
    with ExitStack() as stack:
        dataset = stack.enter_context(open_source(where))
        chosen = _choose_bands(dataset, bands, where)
        dtype = dataset.dtypes[chosen[0] - 1]
        if dtype.startswith("complex"):
            raise InputError(f"{where} holds complex numbers: give their amplitudes as a raster")
        if nodata is not None:
            dataset = stack.enter_context(overruled(dataset, nodata))
        scene = Scene(where, dataset, chosen, dtype)
        _probe(scene)
        yield scene


def parse_bands(bands: str | Sequence[int] | None) -> tuple[int, ...] | None:
    """Read bands as commands give them: "4,3,2"; None is the scene's own choice.

    Raises:
        InputError: they are no numbers.
    """
    if bands is None:
        return None
    try:
        parts = bands.split(",") if isinstance(bands, str) else bands
        return tuple(int(band) for band in parts)
    except ValueError as error:
        raise InputError(
            f"--bands {bands!r} is not a list of numbers: give for example 4,3,2"
        ) from error


def _choose_bands(
    dataset: DatasetReader, bands: Sequence[int] | None, where: str
) -> tuple[int, ...]:
    count = dataset.count
    if bands is not None:
        if wrong := [band for band in bands if not 1 <= band <= count]:
            raise InputError(
                f"{where} has no band {', '.join(map(str, wrong))}: it has {count}, counted from 1"
            )
        return tuple(bands)
    if count == 0:
        raise InputError(f"{where} has no band: give a raster with one at least")
    marked = {interpretation: i for i, interpretation in enumerate(dataset.colorinterp, start=1)}
    if all(colour in marked for colour in RGB):
        return tuple(marked[colour] for colour in RGB)
    return (1, 2, 3) if count >= len(RGB) else (1, 1, 1)


def _probe(scene: Scene) -> None:
    """Read the last pixel, so that a file that was cut off is refused before any work."""
    scene.read(Window(scene.columns - 1, scene.rows - 1, 1, 1))


@contextmanager
def created(path: Path, profile: Mapping[str, Any]) -> Iterator[DatasetWriter]:
    """Open a raster for writing; that a scene without a place makes one too is no news.

    Args:
        path: file to write.
        profile: as `rasterio.open` takes it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        target = rasterio.open(path, "w", **profile)
    with target:
        yield target


def write_cog(source: Path, target: Path, options: dict[str, Any]) -> None:
    """Rewrite a GeoTIFF as a Cloud Optimized GeoTIFF with overviews.

    Args:
        source: finished GeoTIFF; its tags, nodata and CRS are kept.
        target: file to write.
        options: creation options of GDAL's COG driver that go with the kind of data, as the
            overviews' resampling.
    """
    rasterio.shutil.copy(source, target, **COG_PROFILE, **options)


def _told(window: Window) -> str:
    return (
        f"columns {window.col_off:.0f} to {window.col_off + window.width:.0f}, "
        f"rows {window.row_off:.0f} to {window.row_off + window.height:.0f}"
    )
