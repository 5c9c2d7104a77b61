"""DICOM series made in the test, of a patient whose name must never come out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STUDY = "1.2.826.0.1.3680043.8.498.1"
SPACING = (0.5, 0.75)  # between rows, between columns
GAP = 2.0
# A plane tilted about the left-right axis; its normal is (0, -0.6, 0.8).
DIRECTIONS = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)
NORMAL = np.array([0.0, -0.6, 0.8])
ORIGIN = np.array([-10.0, 20.0, -30.0])

Write = Callable[..., Path]


def dataset(values: np.ndarray, number: int, **changes: object) -> Dataset:
    """Make one CT image of (row, column) or (row, column, 3), `number` gaps along the normal."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"{STUDY}.7.{number + 1}"
    data.StudyInstanceUID, data.SeriesInstanceUID = STUDY, f"{STUDY}.7"
    data.FrameOfReferenceUID = f"{STUDY}.9"
    data.PatientName, data.PatientID, data.PatientBirthDate = "DOE^JANE", "ID-4711", "19700102"
    data.PatientSex, data.AccessionNumber, data.StudyID = "F", "ACC-0815", "STUDY-42"
    data.StudyDate, data.StudyTime = "20200304", "101112"
    data.SeriesDescription, data.Modality, data.SeriesNumber = "of Jane Doe", "CT", 3
    data.InstanceNumber = number + 1
    data.ImagePositionPatient = [float(x) for x in ORIGIN + number * GAP * NORMAL]
    data.ImageOrientationPatient, data.PixelSpacing = list(DIRECTIONS), list(SPACING)
    data.Rows, data.Columns = values.shape[:2]
    data.SamplesPerPixel = 3 if values.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    if values.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * values.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(values.dtype.kind == "i")
    data.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    for keyword, value in changes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


@pytest.fixture
def write_image() -> Write:
    """Write one image to a file; keywords change its header, None deletes."""

    def write(path: Path, values: np.ndarray, number: int = 0, **changes: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset(values, number, **changes).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_series(write_image: Write) -> Write:
    """Write (slice, row, column) as files whose names run against the order of their places."""

    def write(folder: Path, values: np.ndarray, **changes: object) -> Path:
        for number, plane in enumerate(values):
            write_image(folder / f"{len(values) - number:04}", plane, number, **changes)
        return folder

    return write
