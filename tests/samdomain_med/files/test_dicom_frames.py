from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from samdomain.errors import InputError
from samdomain_med.files.dicom_series import read_series

SPACING, GAP = (0.5, 0.75), 2.0
DIRECTIONS = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)
NORMAL, ORIGIN = np.array([0.0, -0.6, 0.8]), np.array([-10.0, 20.0, -30.0])


def item(**values: object) -> Dataset:
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def write(path: Path, values: np.ndarray, places: list[int], **changes: object) -> Path:
    """Write (frame, row, column) as one enhanced CT, frame n `places[n]` gaps along the normal."""
    data = item(
        SOPClassUID=EnhancedCTImageStorage,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
        FrameOfReferenceUID=generate_uid(),
        PatientName="DOE^JANE",
        PatientID="ID-4711",
        Modality="CT",
        SeriesNumber=3,
        InstanceNumber=1,
        NumberOfFrames=len(values),
        Rows=values.shape[1],
        Columns=values.shape[2],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
        PixelData=values.astype(np.uint16).tobytes(),
    )
    data.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=list(SPACING), SliceThickness=GAP)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(DIRECTIONS))],
            PixelValueTransformationSequence=[
                item(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU")
            ],
        )
    ]
    data.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[
                item(ImagePositionPatient=[float(x) for x in ORIGIN + place * GAP * NORMAL])
            ]
        )
        for place in places
    ]
    for keyword, value in changes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)
    return path


VALUES = np.arange(3 * 4 * 5).reshape(3, 4, 5)
PLACES = [2, 0, 1]


def test_frames_are_slices_in_the_order_of_their_places(tmp_path: Path) -> None:
    """Spacing and directions that all share, places of each, values rescaled."""
    case = read_series(write(tmp_path / "a.dcm", VALUES, PLACES))
    assert case.shape == (5, 4, 3)
    expected = VALUES[[1, 2, 0]].transpose(2, 1, 0) * 2 - 1000
    np.testing.assert_array_equal(case.pixels[0], expected)
    assert case.spacing == pytest.approx((0.75, 0.5, 2.0))
    assert case.affine is not None
    # To the right, front and top of the patient: the first two of DICOM's axes turned round.
    np.testing.assert_allclose(case.affine[:3, 3], [10, -20, -30])
    np.testing.assert_allclose(case.affine[:3, 2], GAP * NORMAL * [-1, -1, 1])


def test_a_mask_comes_back_as_it_was(tmp_path: Path) -> None:
    """Its DICOM SEG refers to the frames, whatever their order in the file."""
    case = read_series(write(tmp_path / "a.dcm", VALUES, PLACES))
    mask = np.zeros(case.shape, bool)
    mask[1:3, 1, 0] = mask[4, 2:, 2] = True
    written = case.write(mask, tmp_path / "out", ("lesion",))
    np.testing.assert_array_equal(case.labels(written), mask)


def test_a_frame_rescales_by_its_own_group(tmp_path: Path) -> None:
    """What a frame says itself counts before what all share."""
    path = write(tmp_path / "a.dcm", VALUES, PLACES)
    from pydicom import dcmread  # noqa: PLC0415 - to change what was written

    data = dcmread(path)
    data.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence = [
        item(RescaleSlope=1, RescaleIntercept=0, RescaleType="HU")
    ]
    data.save_as(path)
    pixels = read_series(path).pixels[0]
    np.testing.assert_array_equal(pixels[..., 0], VALUES[1].T)
    np.testing.assert_array_equal(pixels[..., 1], VALUES[2].T * 2 - 1000)


@pytest.mark.parametrize(
    ("places", "changes", "told"),
    [
        ([0, 0, 1], {}, "at the same place"),
        ([0, 1, 5], {}, "a volume needs even distances"),
        ([0, 1, 2], {"SharedFunctionalGroupsSequence": None}, "does not say where it lies"),
        ([0, 1, 2], {"PerFrameFunctionalGroupsSequence": None}, "3 frames in one file"),
        ([0, 1], {}, "functional groups that cannot be read"),
    ],
    ids=["times", "gap", "no directions", "a film", "too few groups"],
)
def test_frames_that_are_no_volume_are_refused(
    places: list[int], changes: dict, told: str, tmp_path: Path
) -> None:
    """The message names the file, and nothing of the patient."""
    path = write(tmp_path / "a.dcm", VALUES, places, **changes)
    with pytest.raises(InputError, match=told) as error:
        read_series(path)
    assert "a.dcm" in str(error.value)
    assert "DOE" not in str(error.value)
