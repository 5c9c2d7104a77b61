"""Pictures with masks for MONAI's datasets, listed and read as `samdomain fit` does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.meta_tensor import MetaTensor
from PIL import Image
from PIL.ImageFile import ImageFile

from samdomain.errors import InputError
from samdomain.training.folders import Folders
from samdomain.training.pictures import (
    GREY_MODES,
    load_upright,
    mask_values,
    pictures,
    values_of,
)
from samdomain.training.sample import ImageFile as Listed
from samdomain.training.sample import MaskFile, Split
from samdomain_med.intensities import Percentiles
from samdomain_med.workflow.splits import find_split


def find_pairs(folder: str, split: Split) -> list[dict[str, str]]:
    """List the images and masks of a split as `{"image": path, "label": path}`.

    They lie as for `samdomain fit`: `train/images` and `train/masks`, `validation`, `test`; or
    `images` and `masks` with `splits.csv` or without. Validation is taken from training where
    there is none.

    Args:
        folder: folder of the data.
        split: train, val or test.

    Raises:
        InputError: there is no such folder, or nothing for the split.
    """
    source, root = Folders(), Path(folder)
    samples = find_split(lambda one: source.find(root, one).samples, split)
    if not samples:
        raise InputError(f"{folder} has no images with masks for {split!r}")
    return [
        {"image": str(one.image.path), "label": str(one.masks.path)}
        for one in samples
        if isinstance(one.image, Listed) and isinstance(one.masks, MaskFile)
    ]


def find_pictures(folder: str) -> list[dict[str, str]]:
    """List the pictures of a folder and of those in it as `{"image": path}`.

    Raises:
        InputError: there is no such folder, or no picture in it.
    """
    found = pictures(Path(folder))
    if not found:
        raise InputError(f"{folder} has no pictures: give their folder, as --dataset_dir FOLDER")
    return [{"image": str(path)} for path in found]


def to_rgb(image: ImageFile) -> Image.Image:
    """Return three channels of eight bits, upright; a converter of MONAI's PILReader.

    Grey values of more bits are stretched between their percentiles, as `samdomain med segment`
    does: Pillow would cut them off at 255.
    """
    load_upright(image)
    if image.mode in GREY_MODES - {"L"}:
        shown = Percentiles()(values_of(image)).round().numpy().astype(np.uint8)
        return Image.fromarray(shown).convert("RGB")
    return image.convert("RGB")


def to_mask(image: ImageFile) -> Image.Image:
    """Return 1 where anything is marked, else 0, upright; a converter of MONAI's PILReader."""
    load_upright(image)
    return Image.fromarray((mask_values(image) != 0).astype(np.uint8))


def origins(batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what MONAI knows of the images of a batch, for tables that name files."""
    images = [one["image"] for one in batch]
    return [image.meta for image in images if isinstance(image, MetaTensor)]
