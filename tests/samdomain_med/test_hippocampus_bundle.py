import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

monai = pytest.importorskip("monai")

from monai.bundle import verify_net_in_out  # noqa: E402 - after the skip

from samdomain import load_segmenter  # noqa: E402
from samdomain.adapter_file import read_adapter  # noqa: E402
from samdomain_med.bundle import write_bundle  # noqa: E402
from samdomain_med.case_segmenter import CaseSegmenter  # noqa: E402
from samdomain_med.files.nifti import read_nifti  # noqa: E402
from samdomain_med.intensities import Percentiles  # noqa: E402
from samdomain_med.slices import Slicing  # noqa: E402

# MONAI tries all of its readers, and says which of them this machine lacks.
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")

# Turned and shifted by amounts that float32 rounds.
AFFINE = np.array([[0.9, 0.1, 0, -7.3], [-0.1, 0.9, 0, 4.1], [0, 0, 1.1, 2.7], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, hippocampus_adapter: Path) -> Path:
    """The hippocampus bundle with the weights of a made adapter; no test may write into it."""
    folder = tmp_path_factory.mktemp("bundles") / "hippocampus"
    write_bundle("hippocampus_sam", hippocampus_adapter, folder)
    return folder


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright balls of two halves in volumes of several shapes, with splits."""
    folder, chance = tmp_path_factory.mktemp("volumes"), np.random.default_rng(0)
    rows = ["file,split"]
    for number, split in enumerate(("train", "train", "val", "test", "test")):
        x, y, z = np.mgrid[:14, : 18 + number, :5]
        ball = (x - 7) ** 2 + (y - 9) ** 2 + 4 * (z - 2) ** 2 < 25
        label = np.where(ball, 1 + (y < 9), 0).astype(np.uint8)
        image = chance.integers(1, 90, ball.shape).astype(np.float32) + 60 * label
        for kind, values in (("images", image), ("labels", label)):
            save(values, AFFINE, folder / kind / f"{number}.nii.gz")
        rows.append(f"{number}.nii.gz,{split}")
    (folder / "splits.csv").write_text("\n".join(rows))
    return folder


def save(values: np.ndarray, affine: np.ndarray, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)


@pytest.fixture
def run(bundle: Path, run_bundle: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run configs of the bundle, results and cached features in tmp_path."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path / "cache"))
    return partial(run_bundle, bundle, device="cpu")


def test_the_network_has_the_shape_that_the_metadata_say(bundle: Path) -> None:
    """MONAI's own check passes with the config for inference."""
    folder = bundle / "configs"
    verify_net_in_out(
        "network_def", folder / "metadata.json", folder / "inference.json", device="cpu"
    )


def test_bundle_and_adapter_mark_the_same_voxels(
    run: Callable, volumes: Path, hippocampus_adapter: Path, tmp_path: Path
) -> None:
    """Each mask that inference writes is that of `samdomain med segment`, in its image's place."""
    run("inference", kind="infer", dataset_dir=str(volumes / "images"))
    segmenter, _ = load_segmenter(hippocampus_adapter)
    names = segmenter.legend.names
    asked = CaseSegmenter(segmenter, names, Slicing(2), Percentiles())
    classes: set[int] = set()
    for path in sorted((volumes / "images").iterdir()):
        case = read_nifti(path)
        written = nib.load(tmp_path / "eval" / f"{case.name}_mask.nii.gz")
        np.testing.assert_array_equal(np.asarray(written.dataobj), asked(case).mask)
        np.testing.assert_array_equal(written.affine, nib.load(path).affine)
        classes |= set(np.unique(asked(case).mask).tolist())
    assert len(classes) > 1


def test_a_volume_in_another_orientation_is_answered_in_its_own(
    run: Callable, volumes: Path, tmp_path: Path
) -> None:
    """Turned by its axes, a volume has the same answer, turned, under its own affine."""
    straight = nib.load(volumes / "images" / "3.nii.gz")
    turned = straight.as_reoriented(np.array([[1, -1], [2, 1], [0, -1]]))
    assert nib.aff2axcodes(turned.affine) != nib.aff2axcodes(straight.affine)
    folder = tmp_path / "turned"
    folder.mkdir()
    nib.save(turned, folder / "turned.nii.gz")
    nib.save(straight, folder / "straight.nii.gz")
    run("inference", kind="infer", dataset_dir=str(folder))
    one, other = (nib.load(tmp_path / "eval" / f"{n}_mask.nii.gz") for n in ("turned", "straight"))
    np.testing.assert_array_equal(one.affine, nib.load(folder / "turned.nii.gz").affine)
    back = nib.as_closest_canonical(one)
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(other.dataobj))


def test_training_stops_resumes_and_is_evaluated(
    run: Callable, volumes: Path, tmp_path: Path
) -> None:
    """Two epochs in two goes end with the weights of two in one; the best is evaluated."""
    words = {
        "dataset_dir": str(volumes),
        "train#trainer#max_epochs": 2,
        "train#dataloader#shuffle": False,
        "train#preprocessing#transforms#4#num_samples": None,
    }
    parts = {"ckpt_dir": str(tmp_path / "parts")}
    run("train", stopped=True, **words, **parts)
    assert not (tmp_path / "parts" / "checkpoint_epoch=2.pt").exists()
    run("train", "resume", **words, **parts)
    run("train", **words, ckpt_dir=str(tmp_path / "one"))
    resumed, whole = (
        torch.load(tmp_path / name / "checkpoint_epoch=2.pt", weights_only=True)["network"]
        for name in ("parts", "one")
    )
    torch.testing.assert_close(resumed, whole)
    assert torch.load(tmp_path / "parts" / "model.pt", weights_only=True).keys() == whole.keys()
    run("train", "evaluate", **words, **parts)
    table = (tmp_path / "eval" / "val_mean_dice_raw.csv").read_text().splitlines()
    assert [Path(row.split(",")[0]).name for row in table[1:]] == ["3.nii.gz", "4.nii.gz"]
    assert len(table[1].split(",")) == 4  # the file, two labels and their mean


def test_training_leaves_an_adapter(run: Callable, volumes: Path, tmp_path: Path) -> None:
    """It holds the best weights, and its card says what was measured and what it is for."""
    models = tmp_path / "models"
    words = {"dataset_dir": str(volumes), "train#trainer#max_epochs": 1, "ckpt_dir": str(models)}
    run("train", **words)
    card = read_adapter(models / "adapter").card
    assert (card.recipe, card.classes) == ("samed", ("background", "anterior", "posterior"))
    assert card.metrics.keys() == {"val/dice"}
    assert card.intended_use.startswith("Research only")
    segmenter, _ = load_segmenter(models / "adapter")
    best = torch.load(models / "model.pt", weights_only=True)
    for name, value in segmenter.sam.state_dict().items():
        torch.testing.assert_close(value, best[f"sam.{name}"])


@pytest.mark.slow
def test_the_commands_of_the_readme_run(bundle: Path, volumes: Path, tmp_path: Path) -> None:
    """In a process each, from the bundle's folder, as a user types them."""
    folder = shutil.copytree(bundle, tmp_path / "hippocampus")
    text = (folder / "docs" / "README.md").read_text()
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    commands = [line for line in commands if "torchrun" not in line and "schema" not in line]
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command.replace("FOLDER", str(volumes)))
        words = [one.replace("IMAGES", str(volumes / "images")) for one in words]
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SAMDOMAIN_CACHE": str(tmp_path / "cache")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert {"metrics.csv", "0_mask.nii.gz"} <= {p.name for p in folder.glob("eval/*")}
