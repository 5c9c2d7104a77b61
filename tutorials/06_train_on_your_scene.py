# %% [markdown]
# # Train on your scene
#
# You have a scene, and a vector file in which somebody has drawn the buildings of a part of it.
# You want the buildings of all of it, and of the next scene too, without a prompt. Three commands
# do it: `samdomain init` looks at both and writes a config, `samdomain fit` trains an adapter of a
# few megabytes, `samdomain segment` runs it. Here they are called from Python, and what they do is
# looked at on the way.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`).

# %%
import sys
import tempfile
from pathlib import Path

import geopandas as gpd
import rasterio
import rasterio.features

from samdomain.cli import main
from samdomain_geo.data import Labels, SceneSource
from samdomain_geo.made_scene import make_scene, write_scene
from samdomain_geo.scenes.raster import open_scene

# A shorter run for tests: python 06_train_on_your_scene.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
SIZE, CHIP = (1024, 256) if EPOCHS > 1 else (256, 64)
WEIGHTS = "litemedsam" if EPOCHS > 1 else "tiny"
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))

# %% [markdown]
# ## A scene with labels, and one without
#
# Both are painted, so that the truth is known: roofs, streets and trees at 0.3 m. The labels are
# in longitudes and latitudes, the scene is in UTM: that is not your business.

# %%
own = write_scene(make_scene(SIZE, SIZE, seed=1), folder / "own")
other = write_scene(make_scene(SIZE, SIZE, seed=2), folder / "other")
buildings = gpd.read_file(own["buildings"], layer="before")
buildings["kind"] = "building"
labels = folder / "labels.geojson"
buildings.to_crs(4326)[["kind", "geometry"]].to_file(labels)
print(len(buildings), "buildings are drawn")

# %% [markdown]
# ## What the model will see
#
# The scene is cut into chips, since a SAM scales whatever it sees to one input: the chip decides
# how large a roof is in it. Neighbouring chips show the same street, so whole blocks of them go to
# training or to validation. Pixels in no polygon are a class of their own, the background; where
# only a part was drawn, say `unlabelled="ignore"`, or mark the parts in a file of areas
# (`split="areas.gpkg"`, with a column `split` of train, val and test).

# %%
source = SceneSource(
    (str(own["before"]),), str(labels), class_column="kind", size=CHIP, block=1, val=0.25
)
for split in ("train", "val"):
    chips = source.find(Path(), split).samples
    print(split, len(chips), "chips, as", chips[0].name)
with open_scene(own["before"]) as scene:
    placed = Labels(labels, "kind").over(scene)
    print("classes:", Labels(labels, "kind").names(), "polygons:", len(placed.shapes))

# %% [markdown]
# ## Train
#
# `init` measures the labelled objects, chooses a chip, and says what it chose in the file. `fit`
# trains low-rank updates in the encoder's last block and a light decoder over its maps (`samed`,
# preset `pyramid`). What it wrote is a folder: curves, a table of epochs, and the adapter, whose
# card tells classes, pixel size and chip.

# %%
config = folder / "buildings.yaml"
words = ["init", "--scene", str(own["before"]), "--labels", str(labels)]
words += ["--class-column", "kind", "--weights", WEIGHTS, "--size", str(CHIP)]
assert main([*words, "--out", str(config)]) == 0
print(config.read_text())
flags = [f"--trainer.max_epochs={EPOCHS}", "--trainer.enable_progress_bar=false"]
flags += ["--data.source.init_args.block=1", "--data.source.init_args.val=0.25"]
run = folder / "run"
assert main(["fit", "--config", str(config), "--out", str(run), *flags]) == 0

# %% [markdown]
# ## Run it over another scene
#
# The result is a mask, the probability of each class (calibrated on validation), polygons with a
# score, and a picture. Chips overlap and are blended, so no edge of a chip is seen; the scene may
# be of any size, and of another pixel size: chips are chosen so that roofs are as large as they
# were in training.

# %%
found = folder / "found"
words = ["segment", str(other["before"]), "--adapter", str(run / "adapter"), "--out", str(found)]
assert main([*words, "--min-area", "10"]) == 0
polygons = gpd.read_file(found / "polygons.gpkg", layer="polygons")
print(len(polygons), "polygons, the surest:")
print(polygons.nlargest(3, "score")[["class_name", "score", "area_m2"]])

# %% [markdown]
# ## How good is it?
#
# On a scene that it has not seen, by pixels. `samdomain evaluate` writes a report of this, with
# pictures of where it is wrong.

# %%
truth = gpd.read_file(other["buildings"], layer="before")
with rasterio.open(found / "mask.tif") as mask:
    values = mask.read(1)
    shape, place = mask.shape, mask.transform
burnt = rasterio.features.rasterize(truth.geometry, out_shape=shape, transform=place)
both = ((values == 1) & (burnt == 1)).sum()
union = ((values == 1) | (burnt == 1)).sum()
print(f"IoU of buildings on a scene that it did not see: {both / max(1, union):.3f}")
print("a picture to judge by:", found / "preview.png")

# %% [markdown]
# ## What to know
#
# - Painted scenes are easy. On a drone's mosaic of Banepa the same three commands are measured in
#   `benchmarks/landcover.py`, beside a U-Net that trains for as long.
# - Rare classes are drawn more often (`balanced`), and can be weighed
#   (`--model.recipe.options.cost '{"weights": [1, 5]}'`).
# - More bands than three: `init --bands 1,2,3,4`; the bands are then mixed by trained weights, and
#   the whole encoder runs in every step.
# - `--seeds 0,1,2` trains three times and tells mean and spread: do it before you believe a
#   difference.
