import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samdomain import load_sam, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.cli import main
from samdomain.recipes import Recipe, SAMed, preset
from samdomain.testing import move_trained

pytest.importorskip("monai")

Run = Callable[..., int]


def disc(left: int) -> np.ndarray:
    rows, columns = np.indices((48, 64))
    return (rows - 24) ** 2 + (columns - left) ** 2 < 100


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter of a recipe with random values."""

    def make(recipe: Recipe | None = None, **card: Any) -> Path:
        recipe = recipe or preset("sam_sp")
        sam = load_sam("tiny")
        for stage in recipe.stages:
            stage.adapt(sam)
        options = {"recipe": recipe.name, "output": "semantic", "options": recipe.to_json()}
        folder = tmp_path / "adapter"
        save_adapter(move_trained(sam), folder, AdapterCard(**{**options, **card}))
        return folder

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures, one of them in a folder, and their labels."""
    for name, left in {"a": 20, "b": 30, "ward/c": 40, "d": 24}.items():
        values = np.where(disc(left), 220, 40).astype(np.uint8)
        for kind, pixels in {"images": np.stack([values] * 3, -1), "labels": disc(left)}.items():
            path = tmp_path / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels if kind == "images" else pixels.astype(np.uint8) * 255).save(
                path
            )
    return tmp_path / "images"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as lines:
        return list(csv.DictReader(lines))


def test_pictures_get_masks_figures_and_a_report(
    pictures: Path, adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A mask and an overlay a case, in its folder; means behind the figures."""
    out = tmp_path / "out"
    line = ["med", "segment", str(pictures), "--adapter", str(adapter(classes=("polyp",)))]
    labels = ["--labels", str(tmp_path / "labels"), "--json"]
    assert main([*line, "--out", str(out), *labels]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cases"], told["failed"]) == (4, 0)
    for name in ("a", "b", "d", "ward/c"):
        mask = np.asarray(Image.open(out / f"{name}_mask.png"))
        assert mask.shape == (48, 64)
        assert set(np.unique(mask)) <= {0, 255}
        assert (out / f"overlays/{name}.png").is_file()
    figures = rows(out / "metrics.csv")
    assert [row["name"] for row in figures[:4]] == ["a", "b", "d", "ward/c"]
    mean = sum(float(row["dice"]) for row in figures[:4]) / 4
    assert float(next(row for row in figures if row["name"] == "mean")["dice"]) == pytest.approx(
        mean, abs=1e-5
    )
    assert {row["uncertain"] for row in rows(out / "cases.csv")} <= {"yes", "no"}
    page = (out / "report.html").read_text()
    assert "Research use only" in page
    assert "Worst: " in page
    assert "medical device" in json.loads((out / "run.json").read_text())["intended use"]


def test_a_bad_file_is_listed_and_the_others_are_done(
    pictures: Path, adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Exit code 4; mended, it alone is done on --resume."""
    out, folder = tmp_path / "out", adapter()
    (pictures / "b.png").write_bytes(b"no picture")
    line = ["med", "segment", str(pictures), "--adapter", str(folder), "--out", str(out)]
    assert main(line) == 4
    assert "b.png" in capsys.readouterr().err
    assert [row["name"] for row in rows(out / "cases.csv") if row["error"]] == ["b"]
    assert "Cases that could not be read" in (out / "report.html").read_text()
    before = (out / "a_mask.png").stat().st_mtime_ns
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(pictures / "b.png")
    assert main(line) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*line, "--resume", "--axis", "1"]) == 2
    assert "another axis" in capsys.readouterr().err
    elsewhere = ["med", "segment", str(pictures / "ward"), *line[3:], "--resume"]
    assert main(elsewhere) == 2
    assert "another input" in capsys.readouterr().err
    assert main([*line, "--resume"]) == 0
    assert (out / "b_mask.png").is_file()
    assert (out / "a_mask.png").stat().st_mtime_ns == before


def test_volumes_keep_their_place(adapter: Any, tmp_path: Path) -> None:
    """A NIfTI comes out with the affine of the one that went in, classes numbered from 1."""
    affine = np.array([[-1.2, 0.1, 0, 9], [0.1, 1.1, 0, -4], [0, 0, 2.5, 7], [0, 0, 0, 1]])
    values = np.random.default_rng(0).normal(500, 100, (20, 24, 5)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "brain.nii.gz")
    folder = adapter(SAMed(("background", "anterior", "posterior")))
    out = tmp_path / "out"
    line = ["med", "segment", str(tmp_path / "brain.nii.gz"), "--adapter", str(folder)]
    assert main([*line, "--out", str(out)]) == 0
    written = nib.load(out / rows(out / "cases.csv")[0]["mask"])
    assert np.array_equal(written.affine, nib.load(tmp_path / "brain.nii.gz").affine)
    assert set(np.unique(np.asarray(written.dataobj))) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "no --adapter is given: shipped are"),
        (["--adapter", "polyps"], "neither a folder nor shipped"),
        (["--adapter", "ADAPTER", "--window", "heart"], "allowed are soft_tissue"),
        (["--adapter", "ADAPTER", "--axis", "3"], "axis 3"),
        (["--adapter", "ADAPTER", "--labels", "nowhere"], "nowhere does not exist"),
        (["--adapter", "ADAPTER", "--labels", "ADAPTER"], "has labels of none of the 4 cases"),
    ],
)
def test_wrong_flags_are_refused(
    pictures: Path,
    adapter: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    flags: list[str],
    told: str,
) -> None:
    """One line says what is allowed, and nothing is written."""
    folder = str(adapter())
    line = [folder if flag == "ADAPTER" else flag for flag in flags]
    assert main(["med", "segment", str(pictures), "--out", str(tmp_path / "out"), *line]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
