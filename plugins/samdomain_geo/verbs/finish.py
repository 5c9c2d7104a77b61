"""`samdomain finish`: put the blocks of a run together, as when an array of jobs did them."""

from dataclasses import replace
from pathlib import Path

from samdomain.door import Report
from samdomain.errors import InputError, StoppedError
from samdomain_geo.changes.comparison import finish_comparison
from samdomain_geo.classes.classification import finish_classification
from samdomain_geo.engine.block_store import BlockStore, open_store
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.given import CHANGE, SEGMENT
from samdomain_geo.objects.segmentation import BLOCKS, finish_segmentation
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.verbs import polygonize


def _finish_segment(store: BlockStore) -> Report:
    prompted = "prompts" in store.manifest.inputs
    return finish_segmentation(store) if prompted else finish_classification(store)


_FINISHERS = {
    polygonize.VERB: polygonize.finish_polygonize,
    SEGMENT: _finish_segment,
    CHANGE: finish_comparison,
}


def finish(folder: Path) -> Report:
    """Put finished blocks together and write the results that the run was begun for.

    Args:
        folder: folder of blocks that the run keeps: .blocks in the folder of its results, or
            beside its file.

    Returns:
        Report: what the run itself would have returned.

    Raises:
        InputError: the folder holds no work of ours, another process is at it, or an input is
            gone or another one by now.
        StoppedError: blocks are missing.
    """
    inside = Path(folder) / BLOCKS
    store = open_store(inside if inside.is_dir() else Path(folder))
    if store.manifest.verb not in _FINISHERS:
        raise InputError(f"{folder} belongs to {store.manifest.verb!r}, which this version lacks")
    if missing := store.sweep():
        raise StoppedError(
            f"{len(missing)} of {len(store.manifest)} blocks are missing in {folder}: run the "
            "other parts, or run again with --resume"
        )
    _check_inputs(store.manifest)
    return _FINISHERS[store.manifest.verb](store)


def _check_inputs(manifest: Manifest) -> None:
    """Refuse to finish with inputs that are not those the blocks were made of."""
    path = manifest.scene.path
    with open_scene(path) as scene:
        inputs = [(manifest.scene, Identity.of(path, scene.dataset.files))]
    if "prompts" in manifest.inputs:
        prompts = Identity(**manifest.inputs["prompts"])
        inputs.append((prompts, Identity.of(prompts.path)))
    if "after" in manifest.inputs:
        after = Identity(**manifest.inputs["after"])
        with open_scene(after.path) as scene:
            inputs.append((after, Identity.of(after.path, scene.dataset.files)))
    for begun, found in inputs:
        if replace(found, path=begun.path) != begun:
            raise InputError(
                f"{begun.path} has changed since the work began, and the blocks are of what it "
                "was: put it back, or begin anew with --overwrite"
            )
