# %% [markdown]
# # What changed?
#
# You have an orthophoto of some years ago and one of today, from other sensors, in other seasons,
# in other CRSs. You want to know which buildings came and which are gone, as polygons, and how many
# hectares that is. `samdomain change before.tif after.tif --out result` does it: at first sight
# without any training, better with an adapter that was trained on pairs.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`).

# %%
import csv
import sys
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from samdomain.cli import main
from samdomain_geo import change
from samdomain_geo.made_scene import MadeScene, make_scene, write_scene

# A shorter run for tests: python 10_what_changed.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
SIZE, CHIP, PLACES = (768, 256, 8) if EPOCHS > 1 else (128, 64, 3)
WEIGHTS = "litemedsam" if EPOCHS > 1 else "tiny"
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))

# %% [markdown]
# ## Two dates that do not share a grid
#
# The scene is painted, so that the truth is known. Sun and grass differ between the dates, and
# some buildings do. The later one is brought into longitudes and latitudes here, with pixels half
# as large again: `change` brings it back to the grid of the earlier one as it reads it, without
# a copy on disk.

# %%
made = make_scene(SIZE, SIZE, seed=1)
files = write_scene(made, folder)
later = folder / "later.tif"
with (
    rasterio.open(files["after"]) as source,
    WarpedVRT(source, crs="EPSG:4326", resampling=Resampling.bilinear, add_alpha=True) as view,
):
    shape = view.count, round(view.height / 1.5), round(view.width / 1.5)
    pixels = view.read(out_shape=shape, resampling=Resampling.average)
    place = view.transform @ rasterio.Affine.scale(view.width / shape[2], view.height / shape[1])
    profile = {"crs": view.crs, "transform": place, "photometric": "RGB", "alpha": "yes"}
with rasterio.open(
    later, "w", count=4, height=shape[1], width=shape[2], dtype="uint8", **profile
) as target:
    target.write(pixels)


# %% [markdown]
# ## At first sight
#
# Without an adapter the encoder's features of both dates are compared cell by cell (a dense
# relative of AnyChange): what moved more than the scene as a whole did is called a change. That
# is a rough look at where to look closer. It knows nothing of buildings: a mown field, a parked
# car and a shadow count too. The record says so.


# %%
def truth(scene: MadeScene) -> NDArray[np.uint8]:
    """Return where a building came or went."""
    changed = scene.buildings[scene.buildings["status"] != "kept"].geometry
    return rasterio.features.rasterize(
        changed, out_shape=scene.before.shape[1:], transform=scene.transform, dtype="uint8"
    )


def iou(mask: Path) -> float:
    """Return the IoU of a map with the truth, where both dates have data."""
    with rasterio.open(mask) as dataset:
        found, known = dataset.read(1), dataset.read_masks(1) > 0
    true = truth(made) == 1
    union = (((found == 1) | true) & known).sum()
    return float(((found == 1) & true & known).sum() / max(1, union))


look = change(files["before"], later, out=folder / "look", weights=WEIGHTS)
print("the dates lie apart by", look.record["shift"])
print(f"IoU at first sight: {iou(folder / 'look/mask.tif'):.3f}")

# %% [markdown]
# ## Train on pairs
#
# Pairs lie in folders A (before), B (after) and label (255 on what changed), as LEVIR-CD and most
# sets of change do. SAM-CD trains a small head on the frozen encoder's features of both dates;
# `--data.folder` names the folders, the rest stands in the config.

# %%
for number in range(PLACES):
    other = make_scene(SIZE, SIZE, seed=10 + number)
    split = "train" if number < PLACES - 1 else "val"
    layers = {
        "A": other.before.transpose(1, 2, 0),
        "B": other.after.transpose(1, 2, 0),
        "label": truth(other) * np.uint8(255),
    }
    for name, layer in layers.items():
        path = folder / "pairs" / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(layer).save(path)
words = ["fit", "--config", "building-change", "--out", str(folder / "run")]
words += [f"--data.folder={folder / 'pairs'}", f"--data.source.init_args.size={CHIP}"]
words += [f"--model.base.weights={WEIGHTS}", "--model.card.pixel_size=0.3", "--data.views=2"]
words += [f"--trainer.max_epochs={EPOCHS}", "--trainer.enable_progress_bar=false"]
assert main(words) == 0

# %% [markdown]
# ## Run it
#
# `mask.tif` and `probability.tif` lie on the grid of the earlier date; where the later one has no
# data they have none. `areas.csv` says how much ground changed, geodesic, and `preview.png` shows
# before, after and what is different: look at it first.

# %%
found = change(
    files["before"], later, adapter=str(folder / "run/adapter"), out=folder / "found", min_area=5
)
polygons = gpd.read_file(folder / "found/polygons.gpkg", layer="polygons")
print(len(polygons), "polygons, the surest:")
print(polygons.nlargest(3, "score")[["class_name", "score", "area_m2"]])
with (folder / "found/areas.csv").open(encoding="utf-8") as file:
    for row in csv.DictReader(file):
        print(row["class_name"], row["area_ha"], "ha,", row["share_of_overlap"], "of the overlap")
print(f"IoU with what really changed: {iou(folder / 'found/mask.tif'):.3f}")
print("a picture to judge by:", found.folder / "preview.png")

# %% [markdown]
# ## What to know
#
# - Dates that lie a pixel or more apart show change along every edge. The shift is estimated and
#   told each time; `--align` takes a translation back. What terrain and towers lean by stays.
# - `--match mean` brings the colours of the later date to those of the earlier one, where sensors
#   differ much.
# - With an adapter that names the pixels of one date (tutorial 6), `change` runs it on both, and
#   polygons carry `from_class` and `to_class`: what appeared, what disappeared, and what became
#   of what.
# - `--workers`, `--part`, `--resume` and `--dry-run` are those of `segment` (tutorial 3): the
#   pair may be larger than memory.
