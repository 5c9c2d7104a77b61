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
from dataclasses import dataclass
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
from samdomain.sam import SamLike
from samdomain_geo.made_scene import make_scene, rough_boxes, write_scene

# A shorter run for tests: python 02_adapt_any_sam.py 4
STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
SIZE = 256  # pixels of each scene
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
torch.manual_seed(0)

# %% [markdown]
# ## A handful of examples
#
# Images with their buildings: rough boxes as prompts, true outlines as targets. Two scenes train, a
# third tells whether it helped.


# %%
@dataclass
class Example:
    pixels: torch.Tensor  # (3, H, W), 0 to 255
    boxes: torch.Tensor  # (N, 4) as left, top, right, bottom in pixels
    targets: torch.Tensor  # (N, H, W), 1 on the building


def example(seed: int) -> Example:
    made = make_scene(SIZE, SIZE, seed=seed)
    truth = made.standing("before")
    with rasterio.open(write_scene(made, folder / str(seed))["before"]) as scene:
        pixels, to_crs = torch.from_numpy(scene.read([1, 2, 3])).float(), scene.transform
    masks = [rasterize([shape], (SIZE, SIZE), transform=to_crs) for shape in truth.geometry]
    bounds = rough_boxes(truth, seed=seed).to_crs(truth.crs).bounds.to_numpy().T
    left, bottom = ~to_crs @ (bounds[0], bounds[1])
    right, top = ~to_crs @ (bounds[2], bounds[3])
    boxes = torch.from_numpy(np.stack([left, top, right, bottom], axis=1)).float()
    return Example(pixels, boxes, torch.from_numpy(np.stack(masks)).float())


train, test = [example(1), example(2)], [example(3)]
print(f"{sum(len(one.boxes) for one in train)} buildings to train on, {len(test[0].boxes)} to test")

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
def logits(model: SamLike, one: Example) -> torch.Tensor:
    return decode(model, encode(model, one.pixels), Prompts(boxes=one.boxes)).logits[:, 0]


def mean_iou(model: SamLike) -> float:
    scores: list[float] = []
    for one in test:
        with torch.no_grad():
            found, true = logits(model, one) > 0, one.targets > 0
        scores += ((found & true).sum((1, 2)) / (found | true).sum((1, 2))).tolist()
    return sum(scores) / len(scores)


cached = cache_features(sam, folder / "features")
optimizer = torch.optim.AdamW([p for p in sam.parameters() if p.requires_grad], lr=1e-3)
before = mean_iou(cached)
for step in range(STEPS):
    one = train[step % len(train)]
    loss = binary_cross_entropy_with_logits(logits(cached, one), one.targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 6 < len(train):
        print(f"step {step + 1:2d}  loss {loss.item():.4f}")
print(f"mean IoU on a scene that it did not see: {before:.3f} before, {mean_iou(cached):.3f} after")

# %% [markdown]
# ## The adapter folder
#
# LoRA stands in the two files that peft writes, everything else in `samdomain.safetensors`;
# `samdomain.json` names the base by its SHA-256, and `README.md` is the model card. Say where the
# data came from and under which terms: those who use the adapter have a right to know.

# %%
card = AdapterCard(
    summary="Roofs of made scenes, from rough boxes.",
    data=(DataSource("made scenes, seeds 1 and 2", "CC0-1.0"),),
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
same = [mean_iou(model) for model in (sam, again, plain)]
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
