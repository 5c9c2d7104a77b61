from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from samdomain import Segmenter, load_sam
from samdomain.errors import InputError
from samdomain.recipes import Recipe, SAMed, preset
from samdomain.testing import move_trained

pytest.importorskip("monai")

from samdomain_med.case_segmenter import CaseSegmenter
from samdomain_med.files.finding import find_cases
from samdomain_med.intensities import Percentiles
from samdomain_med.slices import Slicing

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 56), dtype=np.uint8)


def asked(recipe: Recipe, names: tuple[str, ...], seed: int = 1) -> CaseSegmenter:
    sam = load_sam("tiny")
    recipe.adapt(sam)
    segmenter = Segmenter(move_trained(sam, seed=seed), recipe).eval()
    return CaseSegmenter(segmenter, names, Slicing(2), Percentiles())


def test_masks_number_classes_from_one_on(tmp_path: Path) -> None:
    """The background is 0 wherever it stands among the names."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    case = find_cases(tmp_path)[0].read()
    recipe = SAMed(("polyp", "background", "tool"))
    segmenter = asked(recipe, recipe.classes)
    assert segmenter.classes == ("polyp", "tool")
    image = torch.from_numpy(PIXELS).float().expand(3, -1, -1)[None]
    best = segmenter.segmenter.probabilities(image)[0].argmax(dim=0).numpy()
    found = segmenter(case)
    assert np.array_equal(found.mask, np.array([1, 0, 2])[best])
    assert found.uncertain is None


def test_passes_that_disagree_are_told(tmp_path: Path) -> None:
    """A self-prompted model is sure of itself or not; its mask is that of its last pass."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    case = find_cases(tmp_path)[0].read()
    told: set[bool | None] = set()
    for seed in range(6):
        segmenter = asked(preset("sam_sp"), ("polyp",), seed)
        found = segmenter(case)
        told.add(found.uncertain)
        image = torch.from_numpy(PIXELS).float().expand(3, -1, -1)[None]
        expected = segmenter.segmenter.probabilities(image)[0, 0] > 0.5
        assert np.array_equal(found.mask > 0, expected.numpy())
        assert 0 <= found.score <= 1
    assert told <= {True, False}


def test_nothing_found_has_a_score_too(tmp_path: Path) -> None:
    """It is as high as the best place is unlikely."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    recipe = SAMed(("background", "polyp"))
    segmenter = asked(recipe, recipe.classes)
    shares = torch.tensor([[[0.9, 0.6]], [[0.1, 0.4]]])
    found = segmenter._found(shares)
    assert not found.mask.any()
    assert found.score == pytest.approx(0.6)


def test_slices_of_a_volume_are_stretched_together(tmp_path: Path) -> None:
    """A brighter scale of the whole volume changes nothing."""
    values = np.random.default_rng(0).normal(500, 100, (20, 24, 4)).astype(np.float32)
    segmenter, masks = asked(SAMed(("background", "organ")), ("background", "organ")), []
    for times in (1, 10):
        path = tmp_path / f"v{times}.nii.gz"
        nib.save(nib.Nifti1Image(values * times, np.eye(4)), path)
        masks.append(segmenter(find_cases(path)[0].read()).mask)
    assert masks[0].shape == values.shape
    assert (masks[0] == masks[1]).mean() > 0.99


def test_other_channels_are_refused(tmp_path: Path) -> None:
    """The message names the file."""
    Image.fromarray(np.stack([PIXELS] * 3, -1)).save(tmp_path / "a.png")
    recipe = SAMed(("background", "polyp"), bands=5)
    with pytest.raises(InputError, match=r"a\.png has 3 channels, the model takes 5"):
        asked(recipe, recipe.classes)(find_cases(tmp_path)[0].read())


def test_volumes_of_too_many_channels_are_refused(tmp_path: Path) -> None:
    """Colours with the neighbours of a slice are more than a model of pictures takes."""
    nib.save(nib.Nifti1Image(np.ones((8, 9, 4), np.float32), np.eye(4)), tmp_path / "v.nii.gz")
    case = find_cases(tmp_path)[0].read()
    colours = replace(case, pixels=np.repeat(case.pixels, 3, axis=0))
    recipe = SAMed(("background", "organ"))
    with pytest.raises(InputError, match=r"v\.nii\.gz has 3 channels, 9 with the neighbours"):
        asked(recipe, recipe.classes)(colours)


def test_a_turned_volume_has_the_same_answer_turned(tmp_path: Path) -> None:
    """How a file stores its axes says nothing of the patient; overlays show the same slices."""
    values = np.random.default_rng(0).normal(500, 100, (20, 24, 4)).astype(np.float32)
    straight = nib.Nifti1Image(values, np.diag([1, 1, 3, 1]))
    turn = np.array([[1, -1], [2, 1], [0, -1]])
    nib.save(straight, tmp_path / "a.nii.gz")
    nib.save(straight.as_reoriented(turn), tmp_path / "b.nii.gz")
    segmenter = asked(SAMed(("background", "organ")), ("background", "organ"))
    one, other = (segmenter(found.read()).mask for found in find_cases(tmp_path))
    assert one.any()
    assert not one.all()
    assert np.array_equal(nib.orientations.apply_orientation(one, turn), other)
