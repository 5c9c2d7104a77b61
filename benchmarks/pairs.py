"""Compare real pairs of rasters by `samdomain change`, with adapters and at first sight.

    python benchmarks/pairs.py [CELL ...]     as levir-0; all missing by default

levir-SEED: two pairs of LEVIR-CD (0.5 m) by the adapter that benchmarks/change.py trained on GF-1
(2 m), whose pixel size chips are resampled to. F1 of changes in all pixels; whether CRS and
transform are those of the earlier date; and F1 of the map against the same one of a later date
that was brought to UTM and half the resolution before (`regridded`). naip-SEED: a place in 2009
and 2020, 5 m, four bands, on grids that do not meet: what it says, and how long it takes; its
preview is in benchmarks/runs, to be looked at. -first_sight: the same without an adapter.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from grid import run_grid
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from real_data import FOLDER
from rivals import RUNS

from samdomain.metrics import ChangeCounts
from samdomain_geo import change

SEEDS = (0, 1, 2)
TILES = ("test_1", "test_3")
UTM = "EPSG:32614"  # both tiles lie in zone 14
NAIP = ("naip_nd_20090818.tif", "naip_nd_20200831.tif")
FIRST_SIGHT = "first_sight"
NO_DATA = 255  # of the maps

Result = dict[str, Any]


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    cells: dict[str, Callable[[], Result]] = {}
    for which in (FIRST_SIGHT, *map(str, SEEDS)):
        cells[f"levir-{which}"] = partial(levir, which)
        cells[f"naip-{which}"] = partial(naip, which)
    run_grid("pairs", cells)


def levir(which: str) -> Result:
    """Measure both tiles: against their truth, and against themselves on another grid."""
    told: Result = {}
    true_sum, same_sum = ChangeCounts(), ChangeCounts()
    for tile in TILES:
        before, after = (FOLDER / "levir" / f"{tile}_{date}.tif" for date in "AB")
        found = mapped(before, after, which, f"levir-{tile}-{which}")
        coarse = halved(after, RUNS / f"levir-{tile}-halved.tif")
        again = mapped(before, coarse, which, f"levir-{tile}-{which}-regridded")
        with rasterio.open(FOLDER / "levir" / f"{tile}_label.tif") as label:
            truth = label.read(1) > 0
        true, same = counts(found, truth, found), counts(again, values(found) == 1, found)
        true_sum, same_sum = true_sum + true, same_sum + same
        told[tile] = {
            "test": rounded(true),
            "regridded": rounded(same),
            "same_grid": grid(found) == grid(before),
            "changed_share": round(true.found / max(1, true.total), 4),
        }
    return {"test": rounded(true_sum), "regridded": rounded(same_sum), **told}


def naip(which: str) -> Result:
    """Compare two dates whose grids do not meet, and tell what comes out."""
    before, after = (FOLDER / "geotiff-misc" / name for name in NAIP)
    folder = RUNS / f"naip-{which}"
    found = change(before, after, out=folder, adapter=adapter(which), overwrite=True).record
    return {
        **{name: found[name] for name in ("method", "notes", "shift", "counts", "changed")},
        "chip": found["chips"]["size"],
        "seconds": found["seconds"],
        "files": sorted(path.name for path in folder.iterdir()),
        "same_grid": grid(folder / "mask.tif") == grid(before),
    }


def mapped(before: Path, after: Path, which: str, name: str) -> Path:
    """Return the map of what changed."""
    change(before, after, out=RUNS / name, adapter=adapter(which), overwrite=True)
    return RUNS / name / "mask.tif"


def adapter(which: str) -> str | None:
    """Return an adapter of benchmarks/change.py, or none."""
    if which == FIRST_SIGHT:
        return None
    folder = RUNS / f"change-sam_cd-{which}" / "adapter"
    if not folder.exists():
        raise SystemExit(f"{folder} is not there: run benchmarks/change.py sam_cd-{which} first")
    return str(folder)


def halved(path: Path, target: Path) -> Path:
    """Write a raster in UTM, its pixels twice as wide; what it does not reach is transparent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    averaged = {"crs": UTM, "resampling": Resampling.average, "add_alpha": True}
    with rasterio.open(path) as source, WarpedVRT(source, **averaged) as plain:
        rows, columns = round(plain.height / 2), round(plain.width / 2)
        scale = rasterio.Affine.scale(plain.width / columns, plain.height / rows)
        place = {"transform": plain.transform @ scale, "height": rows, "width": columns}
        with WarpedVRT(source, **averaged, **place) as view:
            pixels = view.read()
            profile = {"crs": view.crs, "count": len(pixels), "dtype": "uint8", **place}
    with rasterio.open(target, "w", photometric="RGB", alpha="yes", **profile) as file:
        file.write(pixels)
    return target


def counts(found: Path, truth: NDArray[np.bool_], known: Path) -> ChangeCounts:
    """Count the pixels of a map against a truth, where it and another map have data."""
    inside = (values(found) != NO_DATA) & (values(known) != NO_DATA)
    masks = ((values(found) == 1)[inside][None], truth[inside][None])
    return ChangeCounts.of(*(torch.from_numpy(one) for one in masks))


def values(path: Path) -> NDArray[np.uint8]:
    """Return a map: 1 where something changed, 255 where there is no data."""
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def grid(path: Path) -> tuple[Any, ...]:
    """Return where the pixels of a raster lie."""
    with rasterio.open(path) as dataset:
        return dataset.crs, dataset.transform, dataset.shape


def rounded(counted: ChangeCounts) -> dict[str, float]:
    """Return figures as they are told."""
    return {name: round(value, 4) for name, value in counted.figures().items()}


if __name__ == "__main__":
    main()
