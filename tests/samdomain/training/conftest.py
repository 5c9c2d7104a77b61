"""Small data sets and short trainings."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from samdomain.cli import main

# The room's tests run where its extra is installed.
collect_ignore_glob = ["test_*.py"] if find_spec("lightning") is None else []

SIZE = 32


def make_pair(number: int) -> tuple[np.ndarray, np.ndarray]:
    """An image with a bright square on noise, and the square's mask."""
    chance = np.random.default_rng(number)
    image = chance.integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8)
    top, left = chance.integers(2, SIZE // 2, 2)
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[top : top + 12, left : left + 12] = 255
    image[mask > 0] = 220
    return image, mask


def write_pairs(folder: Path, numbers: range) -> Path:
    """Write pairs into `images` and `masks`."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image, mask = make_pair(number)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Callable[[str, range], Path]:
    """Write images with masks into a folder below the test's own."""

    def write(name: str, numbers: range) -> Path:
        return write_pairs(tmp_path / name, numbers)

    return write


def write_squares(folder: Path) -> Path:
    write_pairs(folder / "train", range(6))
    write_pairs(folder / "val", range(6, 8))
    write_pairs(folder / "test", range(8, 10))
    return folder


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Six images for training, two for validation, two for the test."""
    return write_squares(tmp_path / "squares")


@pytest.fixture
def config(tmp_path: Path, squares: Path) -> Callable[..., Path]:
    """Write a config of a short training of the tiny SAM; sections can be changed."""

    def write(**changes: dict[str, Any]) -> Path:
        return write_config(tmp_path / "short.yaml", squares, **changes)

    return write


def write_config(path: Path, folder: Path, **changes: dict[str, Any]) -> Path:
    sections: dict[str, dict[str, Any]] = {
        "model": {
            "recipe": {"name": "sam_sp"},
            "base": {"weights": "tiny"},
            "optimisation": {"rate": 0.01},
        },
        "data": {"folder": str(folder), "batch_size": 3, "views": 2},
        "trainer": {"max_epochs": 2, "enable_progress_bar": False, "accelerator": "cpu"},
    }
    for name, change in changes.items():
        sections[name] = {**sections.get(name, {}), **change}
    path.write_text(yaml.safe_dump(sections))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of three epochs; shared, so no test may change it."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_squares(folder / "squares")
    trainer = {"max_epochs": 3, "enable_progress_bar": False, "accelerator": "cpu"}
    config = write_config(folder / "short.yaml", data, trainer=trainer)
    assert main(["fit", "--config", str(config), "--out", str(folder / "run")]) == 0
    return folder / "run"
