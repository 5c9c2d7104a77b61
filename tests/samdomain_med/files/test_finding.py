"""Cases are found in files and folders, in one order, and never among what was written."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samdomain.errors import InputError
from samdomain_med.files import find_cases

Write = Callable[..., Path]
PLANES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 3), 7).save(path)
    return path


def volume(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(PLANES, np.eye(4)).to_filename(path)
    return path


@pytest.fixture
def mixed(tmp_path: Path, write_series: Write) -> Path:
    """A folder of every kind, with files that are no cases."""
    top = tmp_path / "all of it ü"
    picture(top / "b.png")
    picture(top / "a" / "x.JPG")
    volume(top / "a" / "v.nii.gz")
    write_series(top / "c" / "series", PLANES)
    for name in ("notes.txt", ".hidden.png", "c/DICOMDIR", ".git/a.png", "table.csv"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text("no case")
    return top


def test_every_kind_is_found_in_the_order_of_names(mixed: Path) -> None:
    """Names are paths below the folder without endings; a series is its folder."""
    found = [(one.name, one.kind) for one in find_cases(mixed)]
    assert found == [
        ("a/v", "nifti"), ("a/x", "picture"), ("b", "picture"), ("c/series", "dicom"),
    ]  # fmt: skip


def test_what_is_found_is_read_and_written(mixed: Path, tmp_path: Path) -> None:
    """Each case has a mask of its kind, below the folders of its name."""
    for found in find_cases(mixed):
        case = found.read()
        case.write(np.zeros(case.shape, bool), tmp_path / "out")
    written = sorted(
        file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*")
    )
    assert written == ["a/v_mask.nii.gz", "a/x_mask.png", "b_mask.png", "c/series_seg.dcm"]


def test_masks_of_ours_are_left_out(mixed: Path) -> None:
    """What was written into the folder itself is no case of the next run."""
    before = find_cases(mixed)
    for found in before:
        case = found.read()
        case.write(np.zeros(case.shape, bool), mixed)
        case.write(np.zeros(case.shape, bool), mixed / "out")
    assert find_cases(mixed) == before


def test_a_file_that_is_named_is_taken(tmp_path: Path, write_image: Write) -> None:
    """Also a mask of ours, and a DICOM file without an ending."""
    path = picture(tmp_path / "a.png")
    case = find_cases(path)[0].read()
    mask = case.write(np.ones(case.shape, bool), tmp_path)
    assert [one.name for one in find_cases(mask)] == ["a_mask"]
    assert [one.kind for one in find_cases(write_image(tmp_path / "IM0001", PLANES[0]))] == [
        "dicom"
    ]


def test_equal_names_keep_their_endings(tmp_path: Path, write_series: Write) -> None:
    """Cases that differ in the ending alone, or in capitals, do not write over one another."""
    for name in ("a.png", "A.tif", "b.png", "scan.png"):
        picture(tmp_path / name)
    volume(tmp_path / "b.nii")
    write_series(tmp_path / "scan", PLANES)
    names = [one.name for one in find_cases(tmp_path)]
    assert names == ["A.tif", "a.png", "b.nii", "b.png", "scan", "scan.png"]


def test_an_ending_that_is_kept_makes_no_new_double(tmp_path: Path) -> None:
    """No mask is written over another's."""
    for name in ("a.png", "a.tif", "a.png.png"):
        picture(tmp_path / name)
    assert len({one.name for one in find_cases(tmp_path)}) == 3


def test_a_folder_of_a_series_is_one_case(tmp_path: Path, write_series: Write) -> None:
    """The folder that was named gives the name."""
    (found,) = find_cases(write_series(tmp_path / "ct", PLANES))
    assert (found.name, found.read().shape) == ("ct", (4, 3, 2))


def test_choices_reach_the_readers(tmp_path: Path, write_series: Write) -> None:
    """Which series, and whether volumes may lie nowhere, is said once for all cases."""
    write_series(tmp_path / "ct", PLANES)
    nib.Nifti1Image(PLANES, None).to_filename(tmp_path / "v.nii")
    series, nifti = find_cases(tmp_path, series="9", unplaced=True)
    assert nifti.read().affine is None
    with pytest.raises(InputError, match="none is '9'"):
        series.read()


def test_a_broken_file_is_found_and_fails_when_it_is_read(tmp_path: Path) -> None:
    """One bad file of thousands does not keep the others from being listed."""
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(b"short"))
    found = find_cases(tmp_path)
    assert [one.name for one in found] == ["a", "b", "c"]
    for one in found[1:]:
        with pytest.raises(InputError, match=one.path.name):
            one.read()


@pytest.mark.parametrize("name", ["missing", "notes.txt", "empty"])
def test_a_path_without_a_case_is_refused(tmp_path: Path, name: str) -> None:
    """A missing path, a file of another kind and an empty folder are errors with the name."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no case")
    with pytest.raises(InputError, match=name):
        find_cases(tmp_path / name)
