# %% [markdown]
# # A SAM in torchgeo's YAML
#
# You train with torchgeo: a data module, a task, a config, `torchgeo fit`. Here the task is a SAM
# with low-rank updates and a token for each class (SAMed); everything else stays as you know it,
# the words of the config, the batches, the names of the metrics. What comes out is an adapter of a
# few megabytes, which `samdomain segment` runs over a scene of any size.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`).

# %%
import os
import sys
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features
import torch
import yaml
from numpy.typing import NDArray

from samdomain.cli import main
from samdomain_geo.made_scene import make_scene, write_scene
from samdomain_geo.tasks import SamSemanticSegmentation

# A shorter run for tests: python 07_torchgeo_yaml.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
SIZE, PATCH = (512, 256) if EPOCHS > 1 else (128, 64)
WEIGHTS = "litemedsam" if EPOCHS > 1 else "tiny"
TILES = 8 if EPOCHS > 1 else 7
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
os.chdir(folder)  # torchgeo reads the numbers of Inria's tiles off their path: keep it short

# %% [markdown]
# ## A data set that torchgeo knows
#
# Painted tiles in the layout of the Inria Aerial Image Labeling data: images, and masks in `gt`
# with 255 on buildings. torchgeo keeps tiles 1 to 5 of a city for validation.


# %%
def burnt(files: dict[str, Path]) -> NDArray[np.uint8]:
    """Return where buildings are in a scene."""
    buildings = gpd.read_file(files["buildings"], layer="before").geometry
    with rasterio.open(files["before"]) as scene:
        return rasterio.features.rasterize(
            buildings, out_shape=scene.shape, transform=scene.transform, dtype="uint8"
        )


for number in range(4, 4 + TILES):
    files = write_scene(make_scene(SIZE, SIZE, seed=number), folder / f"made/{number}")
    truth = burnt(files)
    with rasterio.open(files["before"]) as scene:
        pixels, place = scene.read(), {"crs": scene.crs, "transform": scene.transform}
    for kind, bands in (("images", pixels), ("gt", truth[None] * 255)):
        path = Path(f"inria/AerialImageDataset/train/{kind}/suburb{number}.tif")
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = {"count": len(bands), "height": SIZE, "width": SIZE}
        with rasterio.open(path, "w", driver="GTiff", dtype="uint8", **shape, **place) as file:
            file.write(bands)

# %% [markdown]
# ## The config
#
# It is one of torchgeo's, with our task in the place of `SemanticSegmentation`. `samdomain fit
# --config inria` is shipped, with the real data's settings; there are `loveda`, `vaihingen2d` and
# `potsdam2d` too. Beside torchgeo's words there are ours:
#
# - `weights`: which SAM; `input_size`: at which size it looks; `preset`: what of it trains;
# - `loss: samed` is the recipe's own loss; `ce`, `jaccard`, `focal` ... are torchgeo's;
# - `value_range`: torchgeo's data modules divide by 255. Where yours does something else, say so:
#   a task that gets values far outside of its range refuses them.

# %%
config = {
    "model": {
        "class_path": "samdomain_geo.tasks.SamSemanticSegmentation",
        "init_args": {
            "weights": WEIGHTS,
            "task": "binary",
            "labels": ["building"],
            "lr": 0.001,
            "pixel_size": 0.3,
        },
    },
    "data": {
        "class_path": "torchgeo.datamodules.InriaAerialImageLabelingDataModule",
        "init_args": {"batch_size": 1, "patch_size": PATCH},
        "dict_kwargs": {"root": "inria"},
    },
    "trainer": {
        "max_epochs": EPOCHS,
        "gradient_clip_val": 1.0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
    },
}
Path("suburb.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

# %% [markdown]
# ## Train
#
# `torchgeo fit --config suburb.yaml` does it, and writes the adapter beside its checkpoints.
# `samdomain fit` takes the same file: the run is then a folder that repeats itself, and resumes
# after a crash.

# %%
assert main(["fit", "--config", "suburb.yaml", "--out", "run"]) == 0
assert main(["validate", "--config", "run"]) == 0

# %% [markdown]
# ## The task in Python
#
# It is a LightningModule as any of torchgeo's. It predicts a dictionary: probabilities, and the
# `bounds` and `transform` of the batch where the data module tells them.

# %%
task = SamSemanticSegmentation(
    weights=WEIGHTS, task="binary", labels=["building"], adapter="run/adapter"
).eval()
batch = {"image": torch.from_numpy(pixels[None, :3, :PATCH, :PATCH]).float() / 255}
with torch.no_grad():
    found = task.predict_step(batch, 0)
print({name: None if one is None else tuple(one.shape) for name, one in found.items()})

# %% [markdown]
# ## Over a scene
#
# Chips, blending, nodata, polygons: that is not a task's business. `segment` reads from the adapter
# how large a chip and a pixel were in training.

# %%
other = write_scene(make_scene(SIZE, SIZE, seed=99), folder / "made/other")
words = ["segment", str(other["before"]), "--adapter", "run/adapter", "--out", "found"]
assert main([*words, "--min-area", "10"]) == 0
with rasterio.open("found/mask.tif") as mask:
    values = mask.read(1) == 1
there = burnt(other) == 1
union = (values | there).sum()
print(f"IoU of buildings on a scene that it did not see: {(values & there).sum() / union:.3f}")
print("a picture to judge by:", folder / "found/preview.png")

# %% [markdown]
# ## What to know
#
# - Painted tiles are easy, and these are few. On real data train for longer, and compare with
#   torchgeo's own task on the same config: change `class_path`, `model` and `backbone`.
# - Your own scenes and a vector file of labels are a data module as well:
#   `samdomain_geo.data.SceneDataModule`, whose pixels that nobody labelled are 255
#   (`ignore_index: 255`).
# - `trainer.callbacks` with a `ModelCheckpoint` on another figure decides which weights the adapter
#   gets; without one it is the best `val_loss`.
