"""Run the bundle `polyp_sam_sp` with the shipped adapter, beside the adapter itself.

    python benchmarks/bundle.py

`evaluate` is MONAI's own measure on the test of Kvasir, by the bundle's configs; `benchmark` the
figure of the same test in benchmarks/results/training/polyp-shipped.json, measured as `samdomain
test` does. They are to differ by no more than `bar`. `inference` counts the pixels in which
masks that the bundle writes differ from those of `samdomain med segment`, in plain torch, which
bundles run in, and as it comes, with OpenVINO where that is installed. The result is
benchmarks/results/bundle/polyp.json.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cases import ways
from grid import read_cell, write_cell
from monai.bundle.workflows import ConfigWorkflow
from PIL import Image
from real_data import FOLDER

from samdomain_med.bundle import write_bundle
from samdomain_med.verbs.segment import segment

BUNDLE = "polyp_sam_sp"
ADAPTER = "polyp"
BAR = 0.002
DATA = FOLDER / "kvasir-seg"
IMAGES = DATA / "test" / "images"

Result = dict[str, Any]


def main() -> None:
    """Measure what ships."""
    write_cell("bundle", ADAPTER, measure)


def measure() -> Result:
    """Return the figures of both ways, and in how many pixels their masks differ."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle = folder / BUNDLE
        write_bundle(BUNDLE, ADAPTER, bundle)
        figures = evaluated(bundle, folder)
        inferred(bundle, folder)
        masks = {name: segmented(name, folder) for name in ways()}
    known = read_cell("training", f"{ADAPTER}-shipped")["test"]
    apart = {name: abs(figures[name] - known[f"image_{name}"]) for name in figures}
    return {
        "evaluate": figures,
        "benchmark": {name: known[f"image_{name}"] for name in figures},
        "apart": {name: round(one, 4) for name, one in apart.items()},
        "bar": BAR,
        "inference": masks,
    }


def evaluated(bundle: Path, folder: Path) -> dict[str, float]:
    """Return MONAI's mean Dice and IoU of the test."""
    words = {"dataset_dir": str(DATA), "validate#dataloader#num_workers": 0}
    workflow = run(bundle, ["train", "evaluate"], "train", folder / "evaluation", **words)
    told = workflow.evaluator.state.metrics
    return {name: round(float(told[f"val_mean_{name}"]), 4) for name in ("dice", "iou")}


def inferred(bundle: Path, folder: Path) -> None:
    """Write the bundle's masks of the test."""
    words = {"dataset_dir": str(IMAGES), "dataloader#num_workers": 0}
    run(bundle, ["inference"], "infer", folder / "bundle", **words)


def segmented(way: str, folder: Path) -> Result:
    """Write the command's masks in one of `ways`, and count what the bundle's have otherwise."""
    with ways()[way]():
        segment(IMAGES, out=folder / way, adapter=ADAPTER)
    written = sorted((folder / "bundle").glob("*_mask.png"))
    counts = [int((read(path) != read(folder / way / path.name)).sum()) for path in written]
    return {
        "images": len(written),
        "identical": sum(count == 0 for count in counts),
        "pixels_apart": sum(counts),
        "most_in_one": max(counts),
    }


def read(path: Path) -> np.ndarray:
    """Return where a mask marks something."""
    return np.asarray(Image.open(path)) > 0


def run(bundle: Path, names: list[str], kind: str, out: Path, **words: object) -> ConfigWorkflow:
    """Run configs of a bundle, as `python -m monai.bundle run` does."""
    workflow = ConfigWorkflow(
        [str(bundle / "configs" / f"{name}.json") for name in names],
        workflow_type=kind,
        logging_file=False,
        bundle_root=str(bundle),
        output_dir=str(out),
        device="cpu",
        **words,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


if __name__ == "__main__":
    main()
