"""NIfTI volumes come in as MONAI reads them, and masks keep every bit of where they lie."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.data import NibabelReader

from samdomain.errors import InputError
from samdomain_med.files.nifti import read_nifti

FOLDER = Path(os.environ.get("SAMDOMAIN_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL = sorted((FOLDER / "nifti-samples").glob("*_image.nii.gz"))
# Turned, sheared, with a reflection, in numbers that binary fractions cannot hold.
AFFINE = np.array(
    [[-0.7, 0.1, 0.2, 90.1], [0.1, 0.9, -0.3, -7.7], [0, 0.3, 2.5, 33.3], [0, 0, 0, 1]]
)
VALUES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
PLACES = ("qform_code", "sform_code", "pixdim", "xyzt_units", "srow_x", "srow_y", "srow_z",
          "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")  # fmt: skip


def save(
    path: Path, values: np.ndarray, affine: np.ndarray | None = AFFINE, form: type = nib.Nifti1Image
) -> Path:
    image = form(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = "DOE^JANE"
    image.to_filename(path)
    return path


def check_places(source: Path, written: Path) -> None:
    """Check that a mask lies where its image does, to the last bit."""
    image, mask = nib.load(source), nib.load(written)
    assert image.affine.tobytes() == mask.affine.tobytes()
    assert image.shape == mask.shape
    assert all(image.header[name].tobytes() == mask.header[name].tobytes() for name in PLACES)
    assert (type(image), mask.get_data_dtype()) == (type(mask), np.uint8)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("form", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_mask_lies_where_its_image_does(tmp_path: Path, suffix: str, form: type) -> None:
    """Affine, codes and units are equal bit for bit; the ending and the form are the image's."""
    case = read_nifti(save(tmp_path / f"a.b{suffix}", VALUES, form=form))
    written = case.write(case.pixels[0] > 11, tmp_path / "out")
    assert written.name == f"a.b_mask{suffix}"
    check_places(case.path, written)
    assert np.array_equal(nib.load(written).dataobj, VALUES > 11)


def test_nothing_of_the_patient_is_in_a_mask(tmp_path: Path) -> None:
    """Free text of the header and extensions stay behind."""
    image = nib.load(save(tmp_path / "a.nii", VALUES))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE"))
    image.to_filename(tmp_path / "b.nii")
    case = read_nifti(tmp_path / "b.nii")
    assert b"DOE" not in case.write(VALUES > 3, tmp_path / "out").read_bytes()
    assert "DOE" not in repr(case)


@pytest.mark.skipif(not REAL, reason="the real data is not here: set SAMDOMAIN_DATA")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_volumes_keep_their_places(tmp_path: Path, path: Path) -> None:
    """Affine in is affine out, exactly, on volumes of scanners and tools of all sorts."""
    case = read_nifti(path)
    check_places(path, case.write(case.pixels[0] > case.pixels.mean(), tmp_path))
    labels = path.with_name(path.name.replace("_image", "_label"))
    assert case.labels(labels).shape == case.shape


def test_values_and_affine_are_as_monai_reads_them(tmp_path: Path) -> None:
    """MONAI's reader gives the same values at the same indices, and the same affine."""
    case = read_nifti(save(tmp_path / "a.nii.gz", VALUES))
    reader = NibabelReader()
    values, told = reader.get_data(reader.read(case.path))
    assert np.array_equal(values, case.pixels[0])
    assert np.array_equal(told["affine"], case.affine)
    assert case.spacing == pytest.approx(np.sqrt(np.square(AFFINE[:3, :3]).sum(0)), rel=1e-6)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    """Stored numbers are scaled as the header says, by hand 0.5 v - 10."""
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.set_slope_inter(0.5, -10)
    image.to_filename(tmp_path / "a.nii")  # nibabel stores what scales back to the values
    stored = nib.load(tmp_path / "a.nii").dataobj.get_unscaled()
    case = read_nifti(tmp_path / "a.nii")
    assert case.pixels.dtype == np.float32
    assert np.array_equal(case.pixels[0], stored * np.float32(0.5) - 10)


def test_voxels_without_a_number_hold_no_object(tmp_path: Path) -> None:
    """NaN and infinity get the lowest value, are told, and are cleared from the mask."""
    values = np.array([[[5.0, np.nan], [np.inf, 7.0]]], dtype=np.float32)
    case = read_nifti(save(tmp_path / "a.nii", values))
    assert case.pixels.tolist() == [[[[5, 5], [5, 7]]]]
    assert "2 voxels" in case.notes[0]
    written = case.write(np.ones(case.shape, bool), tmp_path)
    assert np.asarray(nib.load(written).dataobj).tolist() == [[[1, 0], [0, 1]]]


def test_time_series_are_refused(tmp_path: Path) -> None:
    """Four axes are an error with the shape and what to do."""
    path = save(tmp_path / "bold.nii", np.zeros((2, 3, 4, 5), np.int16))
    with pytest.raises(InputError, match=r"bold\.nii has 4 axes \(2 x 3 x 4 x 5\).*on its own"):
        read_nifti(path)


@pytest.mark.parametrize("shape", [(2, 3, 4, 1), (2, 3), (2, 3, 4, 1, 1)])
def test_other_axes_of_one_voxel_are_kept(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """An image of a slice, and axes of length one, are a volume whose mask has the same axes."""
    case = read_nifti(save(tmp_path / "a.nii", np.zeros(shape, np.int16)))
    assert case.shape == (*shape, 1)[:3]
    check_places(case.path, case.write(np.zeros(case.shape, bool), tmp_path / "out"))


def test_a_missing_affine_is_refused(tmp_path: Path) -> None:
    """Without a code there is no affine, though nibabel makes one up."""
    path = save(tmp_path / "nowhere.nii", VALUES, affine=None)
    with pytest.raises(InputError, match=r"nowhere\.nii has no affine"):
        read_nifti(path)
    case = read_nifti(path, unplaced=True)
    assert (case.affine, case.spacing) == (None, (1, 1, 1))
    assert "not known" in case.notes[0]
    check_places(path, case.write(VALUES > 3, tmp_path / "out"))


def test_an_affine_that_is_no_place_is_refused(tmp_path: Path) -> None:
    """An affine that puts all voxels into a plane is an error."""
    header = nib.Nifti1Header()
    header.set_sform(np.diag([1, 1, 0, 1]), code=1)
    nib.Nifti1Image(VALUES, None, header).to_filename(tmp_path / "flat.nii")
    with pytest.raises(InputError, match=r"flat\.nii has an affine"):
        read_nifti(tmp_path / "flat.nii")


@pytest.mark.parametrize("content", [None, b"", b"no volume", bytes(400)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_what_is_no_volume_is_named(tmp_path: Path, content: bytes | None, suffix: str) -> None:
    """A missing or broken file is an error with its name."""
    path = tmp_path / f"broken{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.nii"):
        read_nifti(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_truncated_volume_is_refused(tmp_path: Path, suffix: str) -> None:
    """A file that ends half-way is an error with its name."""
    noise = np.random.default_rng(0).integers(0, 999, (16, 16, 16), dtype=np.int16)
    path = save(tmp_path / f"half{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"half.* is broken"):
        read_nifti(path)


def test_a_header_that_claims_more_than_memory_is_refused(tmp_path: Path) -> None:
    """A small file that says it holds terabytes is broken, and nothing is allocated."""
    path = save(tmp_path / "bomb.nii", VALUES)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30_000] * 3, "<i2").tobytes()  # dim[1:4]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bomb\.nii is broken"):
        read_nifti(path)


@pytest.mark.parametrize("kind", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, kind: np.dtype) -> None:
    """A voxel that is more than a number is an error."""
    path = save(tmp_path / "a.nii", np.zeros((2, 3, 4), kind))
    with pytest.raises(InputError, match=r"a\.nii holds colours or complex"):
        read_nifti(path)


def test_labels_elsewhere_are_refused(tmp_path: Path) -> None:
    """Labels of another shape or affine are an error that names both files."""
    case = read_nifti(save(tmp_path / "image.nii", VALUES))
    other = save(tmp_path / "other.nii", VALUES[:, :, :2])
    with pytest.raises(InputError, match=r"other\.nii has 2 x 3 x 2 .*image\.nii has 2 x 3 x 4"):
        case.labels(other)
    moved = save(tmp_path / "moved.nii", VALUES, AFFINE + np.eye(4, k=3))
    with pytest.raises(InputError, match=r"moved\.nii does not lie where .*image\.nii does"):
        case.labels(moved)


def test_labels_are_whole_numbers_within_rounding_of_places(tmp_path: Path) -> None:
    """Labels stored as floats, with a rounded affine, are taken; fractions are not."""
    case = read_nifti(save(tmp_path / "image.nii", VALUES))
    labels = save(tmp_path / "labels.nii", (VALUES % 3).astype(np.float32), AFFINE.round(2) + 0.001)
    assert np.array_equal(case.labels(labels), VALUES % 3)
    with pytest.raises(InputError, match="fractions"):
        case.labels(save(tmp_path / "soft.nii", VALUES / 7))


def test_the_same_mask_is_the_same_file(tmp_path: Path) -> None:
    """A compressed mask depends neither on the time nor on the folder."""
    case = read_nifti(save(tmp_path / "a.nii.gz", VALUES))
    one, two = (case.write(VALUES > 3, tmp_path / name).read_bytes() for name in "ab")
    assert one == two
