"""Segment spinal cords in MR volumes with one 3-D box, by weights that never saw their data's kind.

    python benchmarks/volumes.py [CELL ...]     as t2-axial-tight; all missing by default

Cells are CONTRAST-SLICES-BOX. The box is tight around the manual mask, or rough: each side moved
by up to 3 voxels. `propagated` is the Dice of `propagate`; `same_box` that of the same 2-D box in
every slice, which is what a margin beyond the box comes to for weights that take boxes alone. The
context of a slice was chosen on T1, axial, tight: Dice 0.848 at 2 and 0.918 at 3. T2 had no part in
any choice. `cpu_seconds` are those of `propagate`, the first with what the engine loads.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import nibabel
import numpy as np
import torch
from grid import run_grid
from real_data import FOLDER

from samdomain import accelerate, load_sam
from samdomain.metrics import pooled_dice
from samdomain_med.intensities import Percentiles
from samdomain_med.propagation import Following, propagate
from samdomain_med.slices import REPEATED, Slicing
from samdomain_med.volume_prompts import VolumeBox

AXES = {"axial": 2, "sagittal": 0}  # of volumes turned to right, anterior, superior
LARGEST_MOVE = 3
FOLLOWING = {"propagated": Following(margin=1), "same_box": Following()}


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    cells: dict[str, Callable[[], dict[str, Any]]] = {
        f"{contrast}-{slices}-{box}": partial(cord, contrast, slices, box)
        for contrast in ("t2", "t1")
        for slices in AXES
        for box in ("tight", "rough")
    }
    run_grid("volumes", cells)


def cord(contrast: str, slices: str, box: str) -> dict[str, Any]:
    """Compare both ways of asking about one cord."""
    sam = accelerate(load_sam("litemedsam"))
    true = read(f"sct_{contrast}_cord_label") > 0
    volume = Percentiles()(read(f"sct_{contrast}_cord_image"))
    corners = tight(true) if box == "tight" else rough(tight(true), true.shape)
    result: dict[str, Any] = {"weights": "litemedsam", "box": corners.tolist()}
    for name, following in FOLLOWING.items():
        began = time.process_time()
        slicing = Slicing(AXES[slices], REPEATED)
        found = propagate(sam, volume, VolumeBox(corners), slicing, following)
        seconds = time.process_time() - began
        result[name] = {
            "dice": round(float(pooled_dice(found.mask, true)), 4),
            "slices": int(found.scores.isfinite().sum()),
            "cpu_seconds": round(seconds, 1),
        }
    return result


def read(name: str) -> torch.Tensor:
    """Return the voxels of a file, its axes turned to right, anterior, superior."""
    image = nibabel.as_closest_canonical(nibabel.load(FOLDER / "nifti-samples" / f"{name}.nii.gz"))
    return torch.as_tensor(np.asarray(image.dataobj).astype(np.float32))


def tight(mask: torch.Tensor) -> torch.Tensor:
    """Return near and far corner of a mask."""
    voxels = mask.nonzero()
    return torch.stack([voxels.amin(0), voxels.amax(0) + 1])


def rough(corners: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a box as a hurried hand draws it, inside the volume."""
    generator = torch.Generator().manual_seed(0)
    moves = torch.randint(-LARGEST_MOVE, LARGEST_MOVE + 1, (2, 3), generator=generator)
    return (corners + moves).clamp_min(0).minimum(torch.tensor(shape))


if __name__ == "__main__":
    main()
