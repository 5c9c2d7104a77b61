# %% [markdown]
# # Adapt without labels: boxes, clicks, and what the model knew before
#
# Drawing masks takes minutes an object, a box or a few clicks take seconds. WeSAM (Zhang et al.,
# 2024) adapts a SAM with those alone: a teacher answers each prompt on the image as it is, a
# student learns that answer on the image with other colours, and the frozen model from before,
# the anchor, keeps both from drifting into what they only tell each other. This tutorial takes
# the method apart, and shows why the anchor has to be there.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`). It makes its own images:
# dark pits on an uneven ground. The truth is there too, but only the last figures look at it. A
# table of your own boxes or clicks trains in the same way, by one command; see the end.

# %%
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray

from samdomain import AutomaticMasks, Prompts, load_sam, save_adapter, trainable_parameters
from samdomain.adapter_file import AdapterCard, DataSource
from samdomain.anchor import guides_of
from samdomain.cache import cache_features
from samdomain.metrics import iou_score
from samdomain.recipes import Batch, SelfTraining, WeSAM, preset, total
from samdomain.sam import Sam

# A shorter run for tests: python 12_adapt_without_labels.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
TRAIN, TEST = (12, 8) if EPOCHS > 1 else (1, 1)
SIZE = 256  # pixels of each image
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
torch.manual_seed(0)

# %% [markdown]
# ## Images with boxes
#
# Each image has three pits. Somebody drew a box around each, and no mask.


# %%
def smooth(chance: np.random.Generator, cells: int) -> NDArray[np.float64]:
    """Return (SIZE, SIZE) values around 0 that change slowly."""
    coarse = torch.from_numpy(chance.normal(size=(1, 1, cells, cells)))
    fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic")
    return fine[0, 0].numpy()


def example(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return an image (3, SIZE, SIZE), 0 to 255, its masks (3, SIZE, SIZE) and their boxes."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    light = 110 + 30 * smooth(chance, 4) + 22 * smooth(chance, 60)
    masks = []
    for place in ((65, 70), (190, 80), (120, 190)):
        x, y = np.array(place) + chance.uniform(-15, 15, 2)
        wide, high, turn = chance.uniform(18, 40), chance.uniform(14, 28), chance.uniform(0, np.pi)
        along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
        across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
        away = np.hypot(along / wide, across / high) + 0.25 * smooth(chance, 9)
        masks.append(away < 1)
        light = light - 28 * np.clip(6 * (1 - away), 0, 1)
    image = np.stack([light * 1.05, light, light * 0.9]).clip(0, 255)
    boxes = [
        [np.where(m.any(0))[0][0], np.where(m.any(1))[0][0],
         np.where(m.any(0))[0][-1] + 1, np.where(m.any(1))[0][-1] + 1] for m in masks
    ]  # fmt: skip
    return torch.tensor(image).float(), torch.tensor(np.array(masks)), torch.tensor(boxes).float()


train = [example(seed) for seed in range(TRAIN)]
test = [example(seed) for seed in range(100, 100 + TEST)]


def prompted(images: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> Batch:
    """Return images with their boxes, and no mask."""
    pixels, masks, boxes = zip(*images, strict=True)
    of = torch.arange(len(images)).repeat_interleave(3)
    nothing = [torch.zeros(0, SIZE, SIZE, dtype=torch.bool) for _ in masks]
    return Batch(pixels, nothing, prompts=Prompts(boxes=torch.cat(boxes), images=of))


# %% [markdown]
# ## Three networks in one
#
# `adapt` puts low-rank updates into the encoder's last block and remembers what the model was.
# The anchor shares every frozen weight with the model, and the teacher, which follows the student
# slowly, holds only what trains. So three networks are hardly more than one.

# %%
recipe = preset("wesam")
sam = load_sam("litemedsam")
recipe.adapt(sam)
guides = guides_of(sam)
assert guides is not None
print(trainable_parameters(sam))
held = sum(one.numel() for one in guides.state_dict().values())
print(f"the teacher holds {held:,} values of its own")

# %% [markdown]
# ## What a step makes smaller
#
# `forward` asks anchor, teacher and student the same. `focal`, `dice` and `iou` hold the student
# to the teacher's masks, `anchor` to the anchor's; `contrast` wants each object to look to the
# encoder as it did before, and unlike the others. `after_step` lets the teacher follow.


# %%
def adapted(recipe: WeSAM, sam: Sam) -> list[dict[str, float]]:
    """Adapt a model, and return what can be told of it after each epoch without a mask."""
    recipe.adapt(sam)
    view = cache_features(sam, folder / "features")
    trained = [parameter for parameter in sam.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.rate)
    curve: list[dict[str, float]] = []
    torch.manual_seed(0)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(train)).split(4):
            batch = prompted([train[i] for i in chosen.tolist()])
            terms = recipe.loss(recipe.forward(view, batch), batch)
            optimizer.zero_grad()
            total(terms).backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            recipe.after_step(sam)
        sam.eval()
        figures = recipe.measure(view, prompted(test))
        curve.append({name: float(values.mean()) for name, values in figures.items()})
        curve[-1]["iou"] = truth(recipe, sam)
    return curve


def truth(recipe: WeSAM, sam: Sam) -> float:
    """Return the mean IoU of the test's pits: nothing that trains or chooses sees it."""
    overlaps: list[float] = []
    for image, masks, boxes in test:
        found = recipe.predict(sam, image, Prompts(boxes=boxes)).logits[:, 0] > 0
        overlaps += [float(iou_score(*pair)) for pair in zip(found, masks, strict=True)]
    return float(np.mean(overlaps))


print(f"the base: mean IoU {truth(recipe, sam.eval()):.3f} with true boxes")
curve = adapted(recipe, sam)
for epoch, told in enumerate(curve, 1):
    print(f"epoch {epoch:2d} ", "  ".join(f"{name} {one:.3f}" for name, one in told.items()))

# %% [markdown]
# ## Why the anchor has to be there
#
# The same without anchor and contrast, at a rate that is too high: student and teacher agree ever
# better, about ever less. `anchor_agrees` sees it without a label: `samdomain fit` ends a training
# where the anchor agrees with less than half. It chooses the best epoch by `agreement`, which
# forgives what changed where the anchor itself says one thing of an image and another of its
# strong view, as good training has to change something: the harmonic mean of `views_agree` and
# of `anchor_kept`, the share of the rest that was kept.

# %%
alone = replace(recipe, learning=SelfTraining(anchor=0.0, contrast=0.0), rate=10 * recipe.rate)
other = load_sam("litemedsam")
drifting = adapted(alone, other)
figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
for name, one in zip(("views_agree", "anchor_agrees", "iou"), axes, strict=True):
    one.plot([told[name] for told in curve], label="with anchor")
    one.plot([told[name] for told in drifting], label="self-training alone")
    one.set_title(name)
axes[0].legend()
figure.savefig(folder / "curves.png", dpi=100)
print(f"with the anchor: IoU {curve[-1]['iou']:.3f}, without: {drifting[-1]['iou']:.3f}")
print("a picture to judge by:", folder / "curves.png")

# %% [markdown]
# ## Not even boxes
#
# `AutomaticMasks` asks all over an image and keeps what the model is sure of. With
# `WeSAM(asking=WeakPrompts("none"))` the anchor's own finds are the prompts; in the config below
# that is `options: {asking: {kind: none}}` of the recipe, and images alone are its source,
# `class_path: samdomain.training.prompted.Unlabelled`. It works as well as
# the base finds things by itself: weights that know boxes alone are asked by windows, and find
# less than those that know clicks.

# %%
everything = AutomaticMasks(per_side=8, least_iou=0.5, least_stability=0.8)(sam, test[0][0])
print(f"{len(everything)} things in the first image, three of them pits")

# %% [markdown]
# ## Keep it

# %%
card = AdapterCard(
    summary="Pits in made images, adapted with boxes alone.",
    recipe=recipe.name,
    output=recipe.output,
    options=recipe.to_json(),
    data=(DataSource("made images", "CC0-1.0"),),
)
save_adapter(sam, folder / "pits", card, dtype=torch.float16)
print(f"{sum(path.stat().st_size for path in (folder / 'pits').iterdir()):,} bytes")

# %% [markdown]
# ## On your images
#
# A folder `images` and a table `prompts.csv` are enough: columns `image`, and `left`, `top`,
# `right`, `bottom` of a box a row, or `x`, `y`, `label` of a click a row (`object_id` tells which
# clicks belong together). In a config:
#
#     model:
#       recipe: {name: wesam}
#       base: {weights: litemedsam}
#     data:
#       folder: data
#       source: {class_path: samdomain.training.prompted.Prompted}
#
# and `samdomain fit --config adapt.yaml`. Images with masks, as every other source has them, are
# asked by prompts made of the masks: boxes, 5 and 5 clicks, coarse outlines (`options: {asking:
# {kind: points}}` of the recipe). Validation is a part of the images where there is none of its
# own; it needs no mask either. Weights that know boxes alone refuse clicks: load others, or teach
# them first (recipe `sam`) and go on from that adapter, `base: {weights: litemedsam, adapter:
# runs/points/adapter}`.
