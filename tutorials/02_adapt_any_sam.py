# %% [markdown]
# # Adapt any SAM, and carry the result in a small file
#
# LiteMedSAM was trained on medical images; you have roofs. This tutorial puts low-rank updates
# into its last stage, trains them on a few buildings, and saves what changed: a folder of some
# hundred kilobytes that goes onto the same base on another machine, into peft, or into a plain
# checkpoint.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`).

# %%
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.features import rasterize
from torch.nn.functional import binary_cross_entropy_with_logits

from samdomain import (
    Prompts,
    add_lora,
    decode,
    encode,
    load_adapter,
    load_sam,
    merge,
    save_adapter,
    trainable_parameters,
)
from samdomain.adapter_file import AdapterCard, DataSource
from samdomain.cache import cache_features
from samdomain_geo.made_scene import make_scene, rough_boxes, write_scene

# A shorter run for tests: python 02_adapt_any_sam.py 192
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512
STEPS = min(20, SIZE // 25)
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
torch.manual_seed(0)

# %% [markdown]
# ## A handful of examples
#
# One image with its buildings: rough boxes as prompts, their true outlines as targets. Half of the
# buildings train, the other half tells whether it helped.

# %%
made = make_scene(SIZE, SIZE, seed=1)
files = write_scene(made, folder)
with rasterio.open(files["before"]) as scene:
    pixels = torch.from_numpy(scene.read([1, 2, 3])).float()
    to_pixels = ~scene.transform
    truth = made.standing("before")
    masks = [
        rasterize([shape], (scene.height, scene.width), transform=scene.transform)
        for shape in truth.geometry
    ]
targets = torch.from_numpy(np.stack(masks)).float()  # (N, H, W)
bounds = rough_boxes(truth, seed=1).to_crs(truth.crs).bounds.to_numpy()
left, bottom = to_pixels @ (bounds[:, 0], bounds[:, 1])
right, top = to_pixels @ (bounds[:, 2], bounds[:, 3])
boxes = torch.from_numpy(np.stack([left, top, right, bottom], axis=1)).float()  # (N, 4)
train = torch.arange(len(boxes)) % 2 == 0
print(f"{int(train.sum())} buildings to train on, {int((~train).sum())} to test on")

# %% [markdown]
# ## One call makes it trainable
#
# `add_lora` freezes the base and puts an update of rank 4 beside the queries and values of the
# last two blocks. The output is the same as before, bit for bit, until something is trained; a
# plain checkpoint of the base still loads. `add_adapter`, `add_spectral`, `add_prompt_tokens`,
# `add_bands` and `add_peft` do the same with other methods.

# %%
sam = load_sam("litemedsam")
touched = add_lora(sam, rank=4, last=2)
print(trainable_parameters(sam))
print("touched:", ", ".join(touched.modules))

# %% [markdown]
# ## A loop like any other
#
# A SAM is a `torch.nn.Module`, `decode` is differentiable, so the loop is yours. What lies before
# the first trained block is frozen: `cache_features` runs it once for each image and keeps the
# result on disk, so that every later step starts there.


# %%
def mean_iou(model: object, chosen: torch.Tensor) -> float:
    with torch.no_grad():
        found = decode(model, encode(model, pixels), Prompts(boxes=boxes[chosen])).logits[:, 0] > 0
    true = targets[chosen] > 0
    return float(((found & true).sum((1, 2)) / (found | true).sum((1, 2)).clamp(min=1)).mean())


cached = cache_features(sam, folder / "features")
optimizer = torch.optim.AdamW([p for p in sam.parameters() if p.requires_grad], lr=2e-3)
before = mean_iou(cached, ~train)
for step in range(STEPS):
    logits = decode(cached, encode(cached, pixels), Prompts(boxes=boxes[train])).logits[:, 0]
    loss = binary_cross_entropy_with_logits(logits, targets[train])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 5 == 0 or step == STEPS - 1:
        print(f"step {step + 1:2d}  loss {loss.item():.4f}")
print(f"mean IoU on buildings that it did not see: {before:.3f} before, "
      f"{mean_iou(cached, ~train):.3f} after")  # fmt: skip

# %% [markdown]
# ## The adapter folder
#
# LoRA stands in the two files that peft writes, everything else in `samdomain.safetensors`;
# `samdomain.json` names the base by its SHA-256, and `README.md` is the model card. Say where the
# data came from and under which terms: those who use the adapter have a right to know.

# %%
card = AdapterCard(
    summary="Roofs of a made scene, from rough boxes.",
    data=(DataSource("made scene, seed 1", "CC0-1.0"),),
)
save_adapter(sam, folder / "roofs", card)
for path in sorted((folder / "roofs").iterdir()):
    print(f"{path.name:28} {path.stat().st_size:9,} bytes")

# %% [markdown]
# ## On another machine
#
# `load_adapter` finds the base, proves that it is the right one, and puts the adapter onto it.
# `merge` folds the updates into the weights: the same masks, nothing left but a plain model.

# %%
again = load_adapter(folder / "roofs").sam
plain = merge(load_adapter(folder / "roofs").sam)
same = [mean_iou(model, ~train) for model in (sam, again, plain)]
print("IoU of the trained, the loaded and the merged model:", *(f"{one:.3f}" for one in same))

# %% [markdown]
# ## What to know
#
# - `samdomain segment SCENE --prompts BOXES --adapter FOLDER` runs a scene with it,
#   `samdomain adapter show FOLDER` tells what it is, `samdomain adapter merge FOLDER --out x.pth`
#   writes a checkpoint in the layout that the base came in.
# - Fewer examples than these teach little, and a scene is not a field: test where you will use it.
# - Random crops and colours make every image new to the cache; use the eight views of
#   `samdomain.views` with it.
