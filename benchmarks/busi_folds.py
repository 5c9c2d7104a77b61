"""Lay the folds of breast ultrasound out as `samdomain fit` wants them."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

FOLDS = 5


def laid_out(data: Path, folder: Path, fold: int) -> Path:
    """Write the splits of a fold as folders of images and masks, mirror images for training."""
    if (folder / "done").exists():
        return folder
    with (data / "splits.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        split = split_of(int(row["split"].removeprefix("fold")), fold)
        stem = Path(row["file"]).stem
        image = data / row["class"] / "images" / row["file"]
        mask = next((data / row["class"] / "masks").glob(f"{stem}.*"))
        for path, kind in ((image, "images"), (mask, "masks")):
            mode = "L" if kind == "masks" else "RGB"
            pixels = np.asarray(Image.open(path).convert(mode))
            write(pixels, folder / split / kind / f"{row['class']}-{stem}.png")
            if split == "train":
                write(
                    pixels[:, ::-1], folder / split / kind / f"{row['class']}-{stem}-mirrored.png"
                )
    (folder / "done").touch()
    return folder


def write(pixels: np.ndarray, path: Path) -> None:
    """Write an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def split_of(own: int, fold: int) -> str:
    """Return what an image of a fold is for: the next fold chooses the epoch."""
    return {fold: "test", (fold + 1) % FOLDS: "val"}.get(own, "train")
