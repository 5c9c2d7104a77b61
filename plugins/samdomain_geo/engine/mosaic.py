"""Put blocks together to one raster, with memory that depends on the block alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.plan import TILE
from samdomain_geo.scenes.block_cache import block_cache
from samdomain_geo.scenes.raster import created, write_cog


@dataclass(frozen=True)
class Layer:
    """A raster that is made of blocks.

    Attributes:
        of: returns a block's pixels (bands, rows, columns) from its number and its arrays, or
            None where it has nothing but nodata.
        dtype: type of the pixels.
        nodata: value of pixels without data.
        bands: what each band is, in words.
        scale: what a step of the values stands for.
        resampling: how overviews are made, as GDAL names it.
        colours: colour (red, green, blue, alpha) of values, for one band of bytes.
    """

    of: Callable[[int, Mapping[str, NDArray[Any]]], NDArray[Any] | None]
    dtype: str
    nodata: int
    bands: tuple[str, ...]
    scale: float = 1.0
    resampling: str = "NEAREST"
    colours: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)


def write_mosaic(store: BlockStore, layer: Layer, path: Path, tags: Mapping[str, str]) -> None:
    """Write all blocks of a run as a Cloud Optimized GeoTIFF on the scene's grid.

    Args:
        store: the blocks; all that have work are there, the others have no data.
        layer: what of them is written.
        path: file to write; a plain one beside it comes and goes. Both pass 4 GB where they must.
        tags: provenance, written as SAMDOMAIN_NAME.

    Raises:
        StoppedError: a block is missing or torn.
    """
    plain = path.with_suffix(".plain.tif")
    profile = {
        "driver": "GTiff",
        **store.manifest.grid.profile(),
        "count": len(layer.bands),
        "dtype": layer.dtype,
        "nodata": layer.nodata,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",  # a band of a block is written at a time
        "compress": "DEFLATE",
        "zlevel": 1,  # it is read once and removed
        "sparse_ok": True,  # blocks without data take no space
        "bigtiff": "IF_SAFER",
    }
    with block_cache():
        with created(plain, profile) as target:
            target.update_tags(**{f"SAMDOMAIN_{name.upper()}": tag for name, tag in tags.items()})
            for band, words in enumerate(layer.bands, start=1):
                target.set_band_description(band, words)
            if layer.scale != 1.0:
                target.scales = (layer.scale,) * len(layer.bands)
            if layer.colours:
                target.write_colormap(1, layer.colours)
            for index in store.manifest.todo:
                pixels = layer.of(index, store.read(index))
                if pixels is not None and (pixels != layer.nodata).any():
                    window = store.manifest.block(index).window
                    target.write(pixels.astype(layer.dtype), window=window)
        write_cog(plain, path, {"overview_resampling": layer.resampling})
    plain.unlink()
