"""What cannot be compared is refused in one line, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from samdomain.adapter_file import AdapterCard, save_adapter
from samdomain.cli import main
from samdomain.lora import LoRA
from samdomain.recipes import SAMed

Write = Callable[..., Path]


def pixels(seed: int = 0, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (bands, 96, 128), dtype=np.uint8)


def place(east: float) -> Affine:
    return Affine.translation(500_000 + east, 30_000) @ Affine.scale(0.5, -0.5)


def far(write: Write) -> Path:
    return write(pixels(1), "after.tif", transform=place(5000))


def unplaced(write: Write) -> Path:
    return write(pixels(1), "after.tif", crs=None)


def grey(write: Write) -> Path:
    return write(pixels(1, bands=1), "after.tif")


def five_bands(write: Write) -> Path:
    return write(pixels(1, bands=5), "after.tif")


def empty(write: Write) -> Path:
    return write(np.zeros((3, 96, 128), np.uint8), "after.tif", nodata=0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (far, "do not overlap"),
        (unplaced, "has no CRS, but"),
        (grey, "name those that correspond with --bands"),
        (five_bands, "name those that correspond with --bands"),
        (empty, "have no data in common"),
        (lambda write: Path("gone.tif"), "does not exist"),
    ],
)
def test_rasters_that_do_not_go_together(
    make: Any, told: str, write_scene: Write, change_adapter: Path, tmp_path: Path, capsys: Any
) -> None:
    """One line says what is wrong."""
    words = ["change", str(write_scene(pixels(), "before.tif")), str(make(write_scene))]
    assert main([*words, "--out", str(tmp_path / "out"), "--adapter", str(change_adapter)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--bands", "1,2"], "--bands names 2, but the adapter takes 3"),
        (["--after-bands", "1,2"], "--after-bands names 2, but the adapter takes 3"),
        (["--block", "500"], "--block is 500"),
        (["--stretch", "9,1"], "does not go from low to high"),
    ],
)
def test_flags_that_cannot_be(
    flags: list[str],
    told: str,
    write_scene: Write,
    change_adapter: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    """One line names the flag."""
    files = [str(write_scene(pixels(seed), f"{seed}.tif")) for seed in (0, 1)]
    words = ["change", *files, "--out", str(tmp_path / "out"), "--adapter", str(change_adapter)]
    assert main([*words, *flags]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("output", "told"),
    [("prompted", "samdomain segment --prompts VECTOR"), ("instances", "samdomain segment with")],
)
def test_adapters_for_something_else(
    output: str, told: str, write_scene: Write, trained: Any, tmp_path: Path, capsys: Any
) -> None:
    """The message names the command that runs them."""
    save_adapter(trained(LoRA()), tmp_path / "other", AdapterCard(output=output))
    files = [str(write_scene(pixels(seed), f"{seed}.tif")) for seed in (0, 1)]
    words = ["change", *files, "--out", str(tmp_path / "out")]
    assert main([*words, "--adapter", str(tmp_path / "other")]) == 2
    assert told in capsys.readouterr().err


def test_segment_names_the_command_for_change(
    write_scene: Write, change_adapter: Path, tmp_path: Path, capsys: Any
) -> None:
    """`segment` with an adapter of change says `samdomain change`."""
    words = ["segment", str(write_scene(pixels())), "--out", str(tmp_path / "out")]
    assert main([*words, "--adapter", str(change_adapter)]) == 2
    assert "samdomain change BEFORE AFTER" in capsys.readouterr().err


def test_overlapping_classes_have_no_one_to_change_from(
    write_scene: Write, trained: Any, tmp_path: Path, capsys: Any
) -> None:
    """The adapter's classes are named."""
    sam, recipe = trained(), SAMed(("wet", "green"), multilabel=True)
    recipe.adapt(sam)
    card = AdapterCard(recipe=recipe.name, output="semantic", options=recipe.to_json())
    save_adapter(sam, tmp_path / "labels", card)
    files = [str(write_scene(pixels(seed), f"{seed}.tif")) for seed in (0, 1)]
    words = ["change", *files, "--out", str(tmp_path / "out")]
    assert main([*words, "--adapter", str(tmp_path / "labels")]) == 2
    assert "(wet, green)" in capsys.readouterr().err


def test_the_same_file_twice_is_warned_of(
    write_scene: Write, change_adapter: Path, tmp_path: Path, capsys: Any
) -> None:
    """It runs, and nothing has changed."""
    file = str(write_scene(pixels()))
    words = ["change", file, file, "--out", str(tmp_path / "out"), "--adapter", str(change_adapter)]
    assert main(words) == 0
    assert "the same pixels" in capsys.readouterr().err


def test_two_rasters_without_a_place_are_compared_by_pixels(
    write_scene: Write, change_adapter: Path, tmp_path: Path, capsys: Any
) -> None:
    """Sizes that agree are enough; areas stay empty. Other sizes are refused."""
    bare = {"crs": None}
    files = [str(write_scene(pixels(seed), f"{seed}.tif", **bare)) for seed in (0, 1)]
    words = ["--out", str(tmp_path / "out"), "--adapter", str(change_adapter)]
    assert main(["change", *files, *words]) == 0
    assert "compared pixel by pixel" in capsys.readouterr().err
    other = str(write_scene(pixels(2)[:, :90], "other.tif", **bare))
    assert main(["change", files[0], other, "--out", str(tmp_path / "no"), *words[2:]]) == 2
    assert "their sizes differ" in capsys.readouterr().err
