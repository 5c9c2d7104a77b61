"""Batches and small data for the tasks' tests."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image
from torch import Tensor

# The tasks' tests run where the extra train is installed too.
collect_ignore_glob = ["test_*.py"] if find_spec("lightning") is None else []

SIZE = 48


@pytest.fixture
def batch() -> dict[str, Any]:
    """Two images, 0 to 1, whose left, middle and right third is red, green and blue."""
    return make_batch()


def make_batch(count: int = 2) -> dict[str, Any]:
    mask = (torch.arange(SIZE) * 3 // SIZE).expand(count, SIZE, SIZE).clone()
    image = torch.rand(count, 3, SIZE, SIZE) * 0.2
    image += torch.nn.functional.one_hot(mask, 3).permute(0, 3, 1, 2) * 0.7
    return {"image": image, "mask": mask}


@pytest.fixture
def make_task() -> Callable[..., Any]:
    """Make a task of the tiny SAM; arguments can be changed."""

    def make(**changes: Any) -> Any:
        given: dict[str, Any] = {"weights": "tiny", "num_classes": 3, **changes}
        return import_module("samdomain_geo.tasks").SamSemanticSegmentation(**given)

    return make


@pytest.fixture
def loss() -> Callable[[Any, dict[str, Tensor]], Tensor]:
    """Ask a task for the loss of a batch as torchgeo's steps do."""

    def ask(task: Any, batch: dict[str, Tensor]) -> Tensor:
        return task.criterion(task(batch["image"]).squeeze(1), batch["mask"])

    return ask


SIDE = 64
COLOURS = np.array(
    [(255, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0)],
    dtype=np.uint8,
)
"""What ISPRS paints classes with."""


def picture(seed: int, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, bands), dtype=np.uint8)


def classes(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, (SIDE, SIDE), dtype=np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_tif(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = np.atleast_3d(pixels).transpose(2, 0, 1)
    rows, columns = bands.shape[1:]
    profile = {"driver": "GTiff", "count": len(bands), "dtype": "uint8"}
    placed = {"crs": "EPSG:32633", "transform": Affine(0.3, 0, 5e5, 0, -0.3, 5e6)}
    with rasterio.open(path, "w", height=rows, width=columns, **profile, **placed) as file:
        file.write(bands)


def make_loveda(root: Path) -> None:
    for number, (split, scene) in enumerate(
        (split, scene) for split in ("Train", "Val", "Test") for scene in ("Urban", "Rural")
    ):
        for i in range(2):
            folder = root / split / scene
            write_png(folder / "images_png" / f"{number}{i}.png", picture(number))
            if split != "Test":
                write_png(folder / "masks_png" / f"{number}{i}.png", classes(number, 8))


def make_vaihingen(root: Path) -> None:
    for i, area in enumerate((1, 11, 13, 15, 17, 6, 24)):
        name = f"top_mosaic_09cm_area{area}.tif"
        write_tif(root / "top" / name, picture(i))
        write_tif(root / name, COLOURS[classes(i, 6)])


def make_potsdam(root: Path) -> None:
    for i, tile in enumerate(("2_10", "2_11", "2_12", "3_10", "3_11", "5_15", "6_15")):
        write_tif(root / "4_Ortho_RGBIR" / f"top_potsdam_{tile}_RGBIR.tif", picture(i, 4))
        write_tif(root / f"top_potsdam_{tile}_label.tif", COLOURS[classes(i, 6)])


def make_inria(root: Path) -> None:
    for name in ("austin1", "austin2", "austin6", "austin7"):
        folder = root / "AerialImageDataset/train"
        write_tif(folder / "images" / f"{name}.tif", picture(int(name[-1])))
        write_tif(folder / "gt" / f"{name}.tif", classes(int(name[-1]), 2) * 255)
    write_tif(root / "AerialImageDataset/test/images/bellingham1.tif", picture(9))


def make_levircd(root: Path) -> None:
    for number, split in enumerate((*["train"] * 4, "val", "test")):
        name = f"{split}_{number}.png"
        for date in "AB":
            write_png(root / date / name, picture(2 * number + ord(date)))
        write_png(root / "label" / name, classes(number, 2) * 255)


def make_oscd(root: Path) -> None:
    start = "Onera Satellite Change Detection dataset - "
    bands = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12")
    for number in range(6):
        region, split = f"region{number}", "Test" if number == 5 else "Train"
        images = root / f"{start}Images" / region
        for date in (1, 2):
            for band in (*bands, "B8A"):
                values = picture(number + date, 1)[..., 0].astype(np.uint16) * 20
                path = images / f"imgs_{date}_rect" / f"{band}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
        (images / "dates.txt").write_text("date_1: 20150801\ndate_2: 20180322\n")
        write_png(root / f"{start}{split} Labels" / region / "cm/cm.png", classes(number, 2) * 255)


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "loveda": make_loveda,
    "vaihingen2d": make_vaihingen,
    "potsdam2d": make_potsdam,
    "inria": make_inria,
    "levircd": make_levircd,
    "oscd": make_oscd,
}


@pytest.fixture
def make_data() -> Callable[[str, Path], None]:
    """Write small data into a folder, in the layout that a config's data set has."""

    def make(name: str, root: Path) -> None:
        MAKERS[name](root)

    return make
