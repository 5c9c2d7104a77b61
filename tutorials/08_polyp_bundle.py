# %% [markdown]
# # A MONAI bundle that finds polyps
#
# A bundle is a folder of configs that MONAI runs: training, evaluation and inference without a
# line of code. This one adapts a SAM by SAM-SP (Zhou et al., 2024), so that it finds polyps
# without prompts: its answer to no prompt gives the box that prompts a second, better answer.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`). The images are drawn and
# the weights `tiny`, random ones that train within a minute: so it shows how things go together,
# not how well they work. For research only: nothing here is a medical device.

# %%
import json
import shutil
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from monai.bundle import ConfigWorkflow
from PIL import Image

from samdomain_med.bundle import find_bundle

# A shorter run for tests: python 08_polyp_bundle.py 1
EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
COUNTS = (
    {"train": 24, "validation": 4, "test": 6}
    if EPOCHS > 1
    else dict.fromkeys(("train", "validation", "test"), 2)
)
HEIGHT, WIDTH = 96, 120
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))

# %% [markdown]
# ## Data as the bundle wants them
#
# `train`, `validation` and `test`, each with `images` and `masks` of the same names. Your own lie
# the same way, or in one pair of folders beside a `splits.csv`. A polyp is drawn as a paler bump
# on a pink wall with folds; specks of light are there to be mistaken for it.


# %%
def picture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (HEIGHT, WIDTH, 3) and where the polyp is (HEIGHT, WIDTH)."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    folds = 12 * np.sin(columns / chance.uniform(8, 14) + rows / 20 + chance.uniform(0, 6))
    image = np.array([150.0, 70.0, 60.0]) + folds[..., None]
    y, x = chance.uniform(28, HEIGHT - 28), chance.uniform(28, WIDTH - 28)
    high, wide = chance.uniform(11, 20, 2)
    polyp = ((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 < 1
    image[polyp] += (70, 75, 60)
    for _ in range(4):
        top, left = chance.integers(0, HEIGHT - 3), chance.integers(0, WIDTH - 3)
        image[top : top + 3, left : left + 3] = 250
    image += chance.normal(scale=6, size=image.shape)
    return image.clip(0, 255).astype(np.uint8), polyp


data, seed = folder / "data", 0
for split, count in COUNTS.items():
    for kind in ("images", "masks"):
        (data / split / kind).mkdir(parents=True)
    for number in range(count):
        image, polyp = picture(seed := seed + 1)
        Image.fromarray(image).save(data / split / "images" / f"{number:02d}.png")
        Image.fromarray(polyp.astype(np.uint8) * 255).save(
            data / split / "masks" / f"{number:02d}.png"
        )

# %% [markdown]
# ## A copy of the bundle
#
# The bundle ships without weights. `samdomain med bundle-weights --bundle polyp_sam_sp --adapter A
# --out polyp_sam_sp` makes a copy that is ready to infer, where A is `polyp`, which ships, or a
# folder that `samdomain fit --config polyp` has written. Here a plain copy is trained by MONAI.

# %%
bundle = folder / "polyp_sam_sp"
shutil.copytree(find_bundle("polyp_sam_sp"), bundle)
network = json.loads((bundle / "configs" / "train.json").read_text())["network_def"]
print("the network:", *(f"{name}={value}" for name, value in network.items()))

# %% [markdown]
# ## Train
#
# `ConfigWorkflow` is what `python -m monai.bundle run --config_file configs/train.json` runs; each
# word is a value of the config, and would be `--dataset_dir DATA` there. Random weights know
# nothing worth keeping, so all of them train here. For a real training leave both words of
# `network_def` out: then the base is `litemedsam`, and little of it trains, beside what it knew.
#
# The best epoch by validation becomes `models/model.pt`; a training that stopped goes on by
# `['configs/train.json','configs/resume.json']`.

# %%
words = {
    "bundle_root": str(bundle),
    "network_def#weights": "tiny",
    "network_def#options": {"tuning": {"parts": ["all"]}},
    "device": "cpu",
}
training = {
    "dataset_dir": str(data),
    "train#dataloader#num_workers": 0,  # processes for reading cost more here than they save
    "validate#dataloader#num_workers": 0,
    "train#trainer#max_epochs": EPOCHS,
    "train#trainer#accumulation_steps": 2,  # images of a step; so few make too few steps of four
}


def run(*configs: str, kind: str = "train", **changes: object) -> ConfigWorkflow:
    """Run configs of the bundle, later ones over earlier ones."""
    files = [str(bundle / "configs" / f"{name}.json") for name in configs]
    workflow = ConfigWorkflow(files, workflow_type=kind, logging_file=False, **words, **changes)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


run("train", **training)
print("written:", *sorted(path.name for path in (bundle / "models").iterdir()))

# %% [markdown]
# ## Evaluate
#
# The same configs with `evaluate.json` over them measure the test split. Means and each image's
# figures stand in `eval/`.

# %%
evaluated = run("train", "evaluate", **training)
for name, value in evaluated.evaluator.state.metrics.items():
    print(f"{name}: {value:.3f}")

# %% [markdown]
# ## Infer
#
# `inference.json` takes a folder of images and writes a mask beside each name: 0 and 255, in the
# image's own size.

# %%
images = data / "test" / "images"
run("inference", kind="infer", dataset_dir=str(images), **{"dataloader#num_workers": 0})
masks = sorted((bundle / "eval").glob("*_mask.png"))


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Return the IoU of two masks; of empty ones it is 1."""
    return float((found & true).sum() / max(1, (found | true).sum())) if true.any() else 1.0


figure, rows = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
scores = []
for number, path in enumerate(masks):
    name = path.name.replace("_mask", "")
    found = np.asarray(Image.open(path)) > 0
    true = np.asarray(Image.open(data / "test" / "masks" / name)) > 0
    scores.append(overlap(found, true))
    if number < len(rows.flat):
        axes = rows.flat[number]
        axes.imshow(Image.open(images / name))
        for shape, colour in ((true, "white"), (found, "red")):
            if shape.any():
                axes.contour(shape, levels=[0.5], colors=colour, linewidths=1.5)
        axes.set_title(f"{name}: IoU {scores[-1]:.2f} (white: truth, red: found)")
        axes.set_axis_off()
figure.savefig(folder / "polyps.png", dpi=100)
print("a picture to judge by:", folder / "polyps.png")
print(f"mean IoU on {len(scores)} images that it did not see: {np.mean(scores):.3f}")

# %% [markdown]
# ## What to know
#
# - `docs/README.md` of the bundle has every command, with those for several GPUs, and lists each
#   expression in the configs that MONAI runs as code.
# - Files in the formats of clinics need no bundle: `samdomain med segment STUDY --adapter A --out
#   DIR` takes pictures, NIfTI and DICOM series, and writes masks, figures and a report.
# - `samdomain export A --format onnx --out polyp.onnx` writes the same network for programs
#   without Python.
# - Each image here shows a polyp, as each of Kvasir-SEG does. So what was learned is to find one in
#   every image: count false alarms on images without one before you believe a mask. `samdomain fit
#   --config polyp` trains on squares without one, too.
# - Frames of one patient on both sides of a split make any figure too good.
