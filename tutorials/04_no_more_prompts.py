# %% [markdown]
# # No more prompts: a SAM that prompts itself
#
# A SAM waits for a box or a click. In a screening nobody draws boxes. SAM-SP (Zhou et al., 2024)
# teaches it to answer without: a first pass has no prompt at all, the box around what it found
# prompts a second pass, and the first learns from the second. This tutorial takes the method
# apart, step by step, and draws what each step sees.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`). It makes its own images,
# bright bumps on an uneven ground. Polyps of Kvasir-SEG are trained in the same way by one
# command: `samdomain fit --config polyp --data.folder kvasir-seg`.

# %%
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from samdomain import Prompts, decode, encode, load_sam, save_adapter, trainable_parameters
from samdomain.adapter_file import AdapterCard, DataSource
from samdomain.cache import cache_features
from samdomain.metrics import dice_score, iou_score
from samdomain.prompting import self_prompt
from samdomain.recipes import Batch, preset, total
from samdomain.sam import Prediction

# A shorter run for tests: python 04_no_more_prompts.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
TRAIN, TEST = (12, 8) if EPOCHS > 1 else (4, 3)
SIZE = 256  # pixels of each image
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
torch.manual_seed(0)

# %% [markdown]
# ## A few images with masks
#
# Each has one bump, brighter and redder than the ground, of another size, place and direction.
# Most train; others, which no step sees, tell whether it helped.


# %%
def smooth(chance: np.random.Generator, cells: int) -> NDArray[np.float64]:
    """Return (SIZE, SIZE) values around 0 that change slowly."""
    coarse = torch.from_numpy(chance.normal(size=(1, 1, cells, cells)))
    fine = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bicubic")
    return fine[0, 0].numpy()


def example(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image (3, SIZE, SIZE), 0 to 255, and its mask (SIZE, SIZE)."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    x, y = chance.uniform(70, SIZE - 70, 2)
    wide, high, turn = chance.uniform(25, 55), chance.uniform(20, 40), chance.uniform(0, np.pi)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    away = np.hypot(along / wide, across / high) + 0.08 * smooth(chance, 6)
    mask = away < 1
    light = 12 * smooth(chance, 5) + 5 * smooth(chance, 40) + 35 * np.clip(1.3 - away, 0, 1)
    image = np.stack([150 + light + 15 * mask, 85 + light, 75 + light])
    return torch.from_numpy(image.clip(0, 255)).float(), torch.from_numpy(mask)


train = [example(seed) for seed in range(TRAIN)]
test = [example(seed) for seed in range(100, 100 + TEST)]

# %% [markdown]
# ## What it knows so far
#
# With a true box the base is good at bumps that it has never seen. Without a prompt it does not
# know what is meant: SAM was never trained to answer nothing.

# %%
sam = load_sam("litemedsam")


def box_around(mask: torch.Tensor) -> torch.Tensor:
    rows, columns = mask.nonzero().T
    ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.stack(ends)[None].float()


scores: list[list[float]] = []
for image, mask in test:
    with torch.no_grad():
        embedding = encode(sam, image)
        asked = (Prompts(boxes=box_around(mask)), Prompts.null(1))
        answers = [decode(sam, embedding, prompts).logits[0, 0] > 0 for prompts in asked]
    scores.append([float(dice_score(answer, mask)) for answer in answers])
boxed, unasked = np.mean(scores, axis=0)
print(f"the base: mean Dice {boxed:.2f} with true boxes, {unasked:.2f} without a prompt")

# %% [markdown]
# ## What trains
#
# A recipe is a value that knows what to inject, what a step makes smaller, and how to answer. The
# recommended preset trains about 413,000 values: low-rank updates in the decoder and in the last
# block of the encoder, the decoder's norms and tokens, and the embedding of "no mask". All that
# comes before that block is frozen, so it is computed once and kept on disk.

# %%
recipe = preset("sam_sp")
recipe.adapt(sam)
print(trainable_parameters(sam))
cached = cache_features(sam, folder / "features")

# %% [markdown]
# ## What a step makes smaller
#
# `forward` encodes once and decodes twice. `masks` is the loss of the second pass, `first` that of
# the first pass, and `distillation` pulls the first towards the second, which is held constant.
# The first pass decides where the box is, so all else rests on it. Gradients are clipped: those of
# the first steps are a hundred times larger than what comes later, and AdamW would remember them.

# %%
trained = [parameter for parameter in sam.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=recipe.rate)
for epoch in range(EPOCHS):
    told: dict[str, float] = {}
    for chosen in torch.randperm(len(train)).split(4):
        images, masks = zip(*(train[i] for i in chosen.tolist()), strict=True)
        batch = Batch(images, masks)
        terms = recipe.loss(recipe.forward(cached, batch), batch)
        optimizer.zero_grad()
        total(terms).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        told = {name: term.item() for name, term in terms.items()}
    print(f"epoch {epoch + 1:2d} ", "  ".join(f"{name} {one:.3f}" for name, one in told.items()))
sam.eval()

# %% [markdown]
# ## Pass by pass
#
# `self_prompt` is what the recipe does: it encodes nothing again, makes a prompt out of each
# answer, and where an answer is empty it asks with the whole image. Open the picture: from left to
# right the truth, the first pass with the box around it, and the second pass.


# %%
def passes(image: torch.Tensor) -> tuple[Prediction, Prediction]:
    with torch.no_grad():
        first, second = self_prompt(cached, encode(cached, image), rounds=1)
    return first, second


def show(axes: Axes, image: torch.Tensor, mask: torch.Tensor, title: str) -> None:
    axes.imshow(image.permute(1, 2, 0).numpy() / 255)
    if mask.any():
        axes.contour(mask.numpy(), levels=[0.5], colors="white", linewidths=1.5)
    axes.set_title(title)
    axes.set_axis_off()


figure, rows = plt.subplots(3, 3, figsize=(9, 9), layout="constrained")
for axes, (image, mask) in zip(rows, test, strict=False):
    found = [one.logits[0, 0] > 0 for one in passes(image)]
    show(axes[0], image, mask, "the truth")
    show(axes[1], image, found[0], f"first pass, Dice {float(dice_score(found[0], mask)):.2f}")
    show(axes[2], image, found[1], f"second pass, Dice {float(dice_score(found[1], mask)):.2f}")
    if found[0].any():
        left, top, right, bottom = box_around(found[0])[0].tolist()
        corner, width, height = (left, top), right - left, bottom - top
        axes[1].add_patch(Rectangle(corner, width, height, fill=False, edgecolor="yellow"))
figure.savefig(folder / "passes.png", dpi=100)
print("a picture to judge by:", folder / "passes.png")

# %% [markdown]
# ## How good is it?
#
# The second pass should be better than the first; on so few images it need not be. `recipe.predict`
# does both, and is what runs behind `samdomain predict`.

# %%
figures = recipe.measure(cached, Batch(*zip(*test, strict=True)))
print(f"first pass: mean Dice {figures['dice_first'].mean():.3f}", end=", ")
print(f"second pass: {figures['dice'].mean():.3f}")
answers = [recipe.predict(sam, image).logits[0, 0] > 0 for image, _ in test[:2]]
overlap = [float(iou_score(one, mask)) for one, (_, mask) in zip(answers, test, strict=False)]
print("IoU of the first two by predict():", *(f"{one:.3f}" for one in overlap))

# %% [markdown]
# ## Keep it
#
# What was learned is a folder of 1.7 MB, or half of it in half precision; the card says how the
# model is to be asked.

# %%
card = AdapterCard(
    summary="Bumps in made images, without prompts.",
    recipe=recipe.name,
    output=recipe.output,
    options=recipe.to_json(),
    data=(DataSource("made images", "CC0-1.0"),),
)
save_adapter(sam, folder / "bumps", card, dtype=torch.float16)
print(f"{sum(path.stat().st_size for path in (folder / 'bumps').iterdir()):,} bytes")

# %% [markdown]
# ## What to know
#
# - An image always has an answer: where the first pass finds nothing, the box is the whole image.
# - The box is around everything found. For several objects in an image see SamLP, in
#   `05_few_shot_plates.py`, which asks for each part.
# - `preset("sam_sp", "paper")` trains ten times as many values, as the paper does, and runs the
#   whole encoder in each step.
