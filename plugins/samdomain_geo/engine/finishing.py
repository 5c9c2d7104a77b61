"""Turn the blocks of a run into its results, once, and with nothing half-written left behind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.results.output import Output, output_folder
from samdomain_geo.scenes.block_cache import block_cache
from samdomain_geo.scenes.nodata import parse_nodata
from samdomain_geo.scenes.raster import Scene, open_scene, parse_bands


@contextmanager
def finishing(store: BlockStore, folder: Path, names: Sequence[str]) -> Iterator[Output]:
    """Give a place for results to be written in; at the end they are moved, and the blocks go.

    Args:
        store: blocks of a run, all of them done.
        folder: folder of the results, which replace earlier ones.
        names: see `output_folder`.

    Raises:
        InputError: another process is at it, or the folder cannot be written.
        StoppedError: the disk is full; the blocks are kept.
    """
    # The blocks are removed while others are kept out: they could find half of them.
    with store.alone():
        with (
            block_cache(),
            output_folder(folder, names, overwrite=True, scratch=store.folder / "finish") as output,
            store.kept(),
        ):
            yield output
        store.remove()


@contextmanager
def opened_again(manifest: Manifest) -> Iterator[Scene]:
    """Open the scene of a run as the run did.

    Raises:
        InputError: it is no longer there.
    """
    given = manifest.parameters
    bands, nodata = parse_bands(given["bands"]), parse_nodata(given["nodata"])
    with open_scene(manifest.scene.path, bands, nodata) as scene:
        yield scene


def origin_tags(manifest: Manifest, scene: Scene) -> dict[str, str]:
    """Return what rasters of a run say of where they come from."""
    weights = manifest.inputs["weights"]
    return {
        "scene": scene.name,
        "scene_sha256": manifest.scene.sha256,
        "weights": weights["name"],
        "weights_sha256": weights["sha256"],
    }
