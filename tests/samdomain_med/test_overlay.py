import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monai")

from samdomain_med.files.finding import find_cases
from samdomain_med.intensities import Percentiles
from samdomain_med.overlay import FOUND, TRUE, draw


def drawn(path: Path, mask: np.ndarray, true: np.ndarray | None = None) -> np.ndarray:
    case = find_cases(path)[0].read()
    return np.asarray(Image.open(io.BytesIO(draw(case, Percentiles(), mask, true))))


def test_outlines_lie_on_the_picture(tmp_path: Path) -> None:
    """The mask's outer pixels are orange, the truth's blue; all else is the picture."""
    Image.fromarray(np.full((400, 400), 90, np.uint8)).save(tmp_path / "a.png")
    mask, true = (np.zeros((400, 400), np.uint8) for _ in range(2))
    mask[100:200, 100:200] = 1
    true[50:90, 50:90] = 1
    seen = drawn(tmp_path / "a.png", mask, true)
    assert tuple(seen[100, 150]) == tuple(seen[199, 199]) == FOUND
    assert tuple(seen[50, 60]) == TRUE
    assert tuple(seen[150, 150]) == tuple(seen[99, 99]) == (90, 90, 90)


def test_of_a_volume_the_slice_with_most_is_shown(tmp_path: Path) -> None:
    """Slices that are small are enlarged, so that something can be seen."""
    values = np.random.default_rng(0).normal(100, 10, (20, 16, 5)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "v.nii.gz")
    mask = np.zeros(values.shape, np.uint8)
    mask[5:12, 5:12, 3] = 1
    seen = drawn(tmp_path / "v.nii.gz", mask)
    assert min(seen.shape[:2]) >= 200
    assert (seen == FOUND).all(axis=-1).any()
    assert not (drawn(tmp_path / "v.nii.gz", mask * 0) == FOUND).all(axis=-1).any()


def test_an_overlay_is_no_case(tmp_path: Path) -> None:
    """Results that lie among the cases are not segmented by the next run."""
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.png")
    case = find_cases(tmp_path)[0].read()
    (tmp_path / "b.png").write_bytes(draw(case, Percentiles(), np.zeros((40, 40), np.uint8)))
    assert [one.name for one in find_cases(tmp_path)] == ["a"]
