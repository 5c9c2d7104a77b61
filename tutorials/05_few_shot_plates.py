# %% [markdown]
# # A detector from a few images
#
# Find every licence plate in a picture, with a handful of examples of which only the boxes are
# known. SamLP (Ding et al., 2024) does it in two stages: low-rank updates teach a SAM to answer
# "no prompt" with all plates at once, and then the decoder learns to mend that answer, part by
# part. On the way the model must not forget what a box means.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`). Plates are personal data:
# so the pictures here are drawn, with plates on which nothing stands. Yours are trained by
# `samdomain fit --config plates --data.folder FOLDER --data.limit 10`, boxes as COCO.

# %%
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from samdomain import load_sam
from samdomain.cache import cache_features
from samdomain.masks import components
from samdomain.recipes import Batch, Recipe, Stage, few_shots, preset, total
from samdomain.sam import SamLike

# A shorter run for tests: python 05_few_shot_plates.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
SHOTS, TEST = (6, 8) if EPOCHS > 1 else (3, 2)
HEIGHT, WIDTH = 192, 256
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
torch.manual_seed(0)

# %% [markdown]
# ## Pictures with boxes
#
# One or two cars in a street, each with a pale plate; windows and lamps are there to be mistaken
# for one. Each plate is its filled box, an object of its own: (N, H, W).


# %%
def picture(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image (3, HEIGHT, WIDTH), 0 to 255, and its plates (N, HEIGHT, WIDTH)."""
    chance = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), chance.uniform(90, 150, 3))
    image[: HEIGHT // 3] = chance.uniform(150, 220, 3)
    plates: list[np.ndarray] = []
    for place in range(chance.integers(1, 3)):
        left, top = 10 + place * 125 + chance.integers(0, 12), chance.integers(60, 85)
        wide, high = chance.integers(95, 112), chance.integers(70, 90)
        image[top : top + high, left : left + wide] = chance.uniform(20, 160, 3)
        image[top + 6 : top + high // 3, left + 12 : left + wide - 12] = chance.uniform(40, 90, 3)
        for side in (left + 4, left + wide - 16):
            image[top + high // 2 : top + high // 2 + 9, side : side + 12] = (250, 230, 190)
        middle, low = left + wide // 2 + chance.integers(-8, 9), top + int(high * 0.72)
        box = np.s_[low : low + chance.integers(8, 12), middle - 20 : middle + 20]
        image[box] = chance.uniform(205, 245)
        plate = np.zeros((HEIGHT, WIDTH), bool)
        plate[box] = True
        plates.append(plate)
    image += chance.normal(scale=6, size=image.shape)
    pixels = torch.from_numpy(image.clip(0, 255)).permute(2, 0, 1).float()
    return pixels, torch.from_numpy(np.stack(plates))


pool = {f"street-{seed:02d}": picture(seed) for seed in range(20)}
test = [picture(seed) for seed in range(100, 100 + TEST)]

# %% [markdown]
# ## A few shots
#
# `few_shots` chooses by name and seed, and fewer shots are among the more: so a curve over their
# number compares like with like.

# %%
chosen = few_shots(pool, SHOTS)
print("examples:", ", ".join(chosen))
examples = Batch(*zip(*(pool[name] for name in chosen), strict=True), names=chosen)
unseen = Batch(*zip(*test, strict=True))

# %% [markdown]
# ## Two stages
#
# The recipe is its own first stage; `Refinement` is the second, and leaves the encoder as it is.
# A loop over stages is all that a trainer has to add. `cache_features` comes after `adapt`, which
# decides where the frozen part ends.


# %%
def measured(recipe: Recipe, model: SamLike) -> str:
    figures = recipe.measure(model, unseen)
    return "  ".join(f"{name} {values.mean():.3f}" for name, values in figures.items())


def train(stage: Stage, epochs: int) -> SamLike:
    """Train what a stage lets train, and return the model as the stage leaves it."""
    torch.manual_seed(1)
    stage.adapt(sam)
    cached = cache_features(sam, folder / "features")
    trained = [parameter for parameter in sam.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=stage.rate)
    sam.train()
    for epoch in range(epochs):
        for places in torch.randperm(len(examples)).split(2):
            images, masks = zip(
                *((examples.images[i], examples.masks[i]) for i in places.tolist()), strict=True
            )
            batch = Batch(images, masks)
            terms = stage.loss(stage.forward(cached, batch), batch)
            optimizer.zero_grad()
            total(terms).backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
        if epoch % 4 == 0:
            print(f"  epoch {epoch + 1:2d}", *(f"{name} {one:.3f}" for name, one in terms.items()))
    sam.eval()
    return cached


sam = load_sam("litemedsam")
recipe = preset("samlp")
print("before:       ", measured(recipe, sam))
for number, stage in enumerate(recipe.stages, 1):
    cached = train(stage, EPOCHS if number == 1 else max(1, EPOCHS // 2))
    print(f"after stage {number}:", measured(recipe, cached))

# %% [markdown]
# `iou` is over the image, `detected` the share of plates that a part of the answer meets with an
# IoU of 0.5 at least, `box` the IoU of the answers to true boxes. Both stages rehearse these, since
# for weights such as LiteMedSAM's boxes are the only prompt they know. Boxes get better here,
# because the base draws the outline that it sees, and we have taught it boxes.
#
# ## Look at it


# %%
def show(axes: Axes, image: torch.Tensor, plates: torch.Tensor) -> None:
    answer = recipe.predict(cached, image).logits[0, 0] > 0
    axes.imshow(image.permute(1, 2, 0).numpy() / 255)
    for shapes, colour in ((plates.any(dim=0), "white"), (answer, "red")):
        if shapes.any():
            axes.contour(shapes.numpy(), levels=[0.5], colors=colour, linewidths=1.5)
    axes.set_title(f"{len(components(answer))} found, {len(plates)} there")
    axes.set_axis_off()


figure, rows = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for axes, one in zip(rows.flat, test, strict=False):
    show(axes, *one)
figure.savefig(folder / "plates.png", dpi=100)
print("a picture to judge by:", folder / "plates.png")
print(
    f"mean IoU on streets that it did not see: {recipe.measure(cached, unseen)['iou'].mean():.3f}"
)

# %% [markdown]
# ## What to know
#
# - Drawn streets are easy. Measure on your own, from another place than the examples: a detector
#   that was trained in one country is used in another.
# - `--data.limit N` of `samdomain fit` takes N examples by the same rule, `--seeds 0,1,2` tells
#   how much of a figure is chance: with five examples it is a lot.
# - `preset("samlp", "paper")` and `"official"` train the whole encoder in every step.
