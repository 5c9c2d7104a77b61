"""Masks of a series are DICOM SEGs that lie on its images, pixel by pixel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import dcmread
from pydicom.uid import UltrasoundImageStorage

from samdomain.errors import InputError
from samdomain_med.files.dicom_series import read_series

VALUES = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
NAMES = ("hippocampus", "lesion", "odd")
Write = Callable[..., Path]


def voxels(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """List place and class of what is not background, in an order of their own."""
    at = np.argwhere(mask)
    places = at @ affine[:3, :3].T + affine[:3, 3]
    rows = np.column_stack([places, mask[tuple(at.T)]]).round(6) + 0.0
    return rows[np.lexsort(rows.T)]


def test_a_seg_lies_on_its_series(tmp_path: Path, write_series: Write) -> None:
    """Each voxel's place and class, as highdicom reads them, are the mask's."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    mask = np.random.default_rng(0).integers(0, 4, case.shape)
    path = case.write(mask, tmp_path / "out", NAMES)
    assert path == tmp_path / "out" / "ct_seg.dcm"
    volume = segread(path).get_volume(combine_segments=True)
    to_right_and_front = np.diag([-1, -1, 1, 1])  # DICOM counts to the left and the back
    read = voxels(volume.array, to_right_and_front @ volume.affine)
    assert read == pytest.approx(voxels(mask, case.affine))
    assert case.labels(path).tolist() == mask.tolist()


def test_slices_without_an_object_are_read_back_empty(tmp_path: Path, write_series: Write) -> None:
    """A mask in one slice of three, of the second class of two, comes back as it was."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    mask = np.zeros(case.shape, int)
    mask[1:3, 2, 1] = 2
    assert case.labels(case.write(mask, tmp_path, NAMES[:2])).tolist() == mask.tolist()


def test_an_empty_mask_is_a_seg(tmp_path: Path, write_series: Write) -> None:
    """Where nothing was found the file is there and says so."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    path = case.write(np.zeros(case.shape, bool), tmp_path)
    assert not case.labels(path).any()


def test_it_says_what_it_is(tmp_path: Path, write_series: Write) -> None:
    """Segments are binary and named, made by this program, and for research only."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    seg = segread(case.write(case.pixels[0] > 30, tmp_path, ("lesion",)))
    assert (seg.SegmentationType, seg.ContentDescription) == ("BINARY", "Research use only")
    (segment,) = seg.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("lesion", "AUTOMATIC")
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"  # SCT: lesion
    assert segment.SegmentAlgorithmName == "samdomain"


def test_it_belongs_to_the_patient_and_the_study(tmp_path: Path, write_series: Write) -> None:
    """A SEG goes into the study of its images, as a series of its own."""
    folder = write_series(tmp_path / "ct", VALUES)
    case = read_series(folder)
    seg = dcmread(case.write(case.pixels[0] > 30, tmp_path))
    image = dcmread(next(folder.iterdir()))
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert seg[keyword].value == image[keyword].value
    assert seg.SeriesInstanceUID != image.SeriesInstanceUID


def test_equal_masks_get_equal_uids(tmp_path: Path, write_series: Write) -> None:
    """Work that is repeated makes no second object; another mask is another object."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    uids = [
        dcmread(case.write(case.pixels[0] > least, tmp_path)).SOPInstanceUID
        for least in (30, 30, 31)
    ]
    assert uids[0] == uids[1] != uids[2]


@pytest.mark.parametrize("placed", [True, False])
def test_one_image_has_a_seg(tmp_path: Path, write_image: Write, placed: bool) -> None:
    """An image alone, also one that lies nowhere, as of ultrasound, has a mask on its pixels."""
    places = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
              "FrameOfReferenceUID")  # fmt: skip
    nowhere = {**dict.fromkeys(places), "SOPClassUID": UltrasoundImageStorage}
    changes = {} if placed else nowhere
    case = read_series(write_image(tmp_path / "us.dcm", VALUES[0], **changes))
    path = case.write(VALUES[0] > 7, tmp_path)
    assert np.array_equal(segread(path).pixel_array.squeeze(), VALUES[0] > 7)
    assert np.array_equal(case.labels(path), VALUES[0] > 7)


def test_headers_of_deidentified_files_suffice(tmp_path: Path, write_series: Write) -> None:
    """Values that were taken out, or are none of the standard's, are empty in the SEG."""
    gone = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID",
            "StudyDate", "StudyTime", "SeriesNumber", "SeriesDescription",
            "FrameOfReferenceUID")  # fmt: skip
    folder = write_series(tmp_path / "ct", VALUES, PatientSex="X", **dict.fromkeys(gone))
    case = read_series(folder)
    assert dcmread(case.write(case.pixels[0] > 30, tmp_path)).PatientName == ""


def test_a_seg_of_other_images_is_refused(
    tmp_path: Path, write_series: Write, write_image: Write
) -> None:
    """An error names the labels and the series."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    other = read_series(write_image(tmp_path / "other", VALUES[0], SOPInstanceUID="1.2.3"))
    seg = other.write(VALUES[0] > 7, tmp_path)
    with pytest.raises(InputError, match=r"other_seg\.dcm is a segmentation of other .*ct"):
        case.labels(seg)


def test_what_is_no_seg_is_refused(tmp_path: Path, write_series: Write) -> None:
    """An image given as labels is an error with its name, and nothing of the patient."""
    case = read_series(write_series(tmp_path / "ct", VALUES))
    with pytest.raises(InputError, match="0001 is no DICOM SEG") as told:
        case.labels(tmp_path / "ct" / "0001")
    assert "DOE" not in str(told.value)
