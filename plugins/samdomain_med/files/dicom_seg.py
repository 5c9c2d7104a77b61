"""DICOM SEG out: masks of a series as segments that refer to its images, and in as labels."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription, segread
from jaxtyping import Integer
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DS

import samdomain
from samdomain.errors import InputError
from samdomain_med.files.case import Case, Kind
from samdomain_med.files.dicom_header import Slice, private
from samdomain_med.files.mark import MARK

_ABNORMAL = codes.SCT.MorphologicallyAbnormalStructure
_STRUCTURE = codes.SCT.AnatomicalStructure
# Categories and types of PS3.16 CID 7150 and 7151 by the names of classes.
_TERMS: dict[str, tuple[Code, Code]] = {
    "hippocampus": (_STRUCTURE, codes.SCT.Hippocampus),
    "lesion": (_ABNORMAL, codes.SCT.Lesion),
    "polyp": (_ABNORMAL, codes.SCT.Lesion),
    "spinal cord": (_STRUCTURE, codes.SCT.SpinalCord),
    "tumor": (_ABNORMAL, codes.SCT.Neoplasm),
}
_SERIES_NUMBER = 1000  # added to the image's: scanners count their own from 1
_LABEL_LENGTH = 64  # characters of PS3.5's LO
_NO_DISTANCE = 1.0  # millimetres; highdicom reads no SEG back that tells no thickness
# Of type 2, empty where they are not known; de-identified files often lack them.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime",
)  # fmt: skip
_SEXES = frozenset({"M", "F", "O"})  # all that PS3.3 C.7.1.1 defines


@dataclass(frozen=True, eq=False)
class Series:
    """What a series' masks need: its images' headers, in the order of the slices.

    Attributes:
        slices: in the order of the case.
        frames: of slices that all stand in one file, which of its frames each is, from 0.
    """

    slices: tuple[Slice, ...] = field(repr=False)
    frames: tuple[int, ...] | None = None
    kind: Kind = "dicom"
    suffix: str = "_seg.dcm"

    def save(
        self, mask: Integer[np.ndarray, "*axes"], file: Path, classes: Sequence[str], /
    ) -> None:
        """Write a binary segment for each class, of the images' patient and study.

        Equal masks of equal images get equal UIDs.
        """
        path = self.slices[0].path
        with private(path, "has a header that no DICOM SEG can be made for"):
            thickness = _distance(self.slices)
            files = self.slices if self.frames is None else self.slices[:1]
            sources = [_filled(one.header, thickness) for one in files]
            frames = _frames(mask)
            if self.frames is not None:
                frames = frames[np.argsort(self.frames)]  # as they stand in the file
            written = Segmentation(
                source_images=sources,
                pixel_array=frames,
                segmentation_type="BINARY",
                segment_descriptions=[
                    _described(number, name) for number, name in enumerate(classes, start=1)
                ],
                series_instance_uid=_uid("series", sources, frames, classes),
                series_number=_SERIES_NUMBER + self.slices[0].number,
                sop_instance_uid=_uid("instance", sources, frames, classes),
                instance_number=1,
                manufacturer="samdomain",
                manufacturer_model_name="samdomain",
                software_versions=samdomain.__version__,
                device_serial_number="0",
                content_description="Research use only",
                content_label="SEGMENTATION",
                series_description="samdomain, research use only",
                transfer_syntax_uid=ExplicitVRLittleEndian,
            )
            written.file_meta.ImplementationVersionName = MARK[:16]  # characters of SH
            content = _bytes(written)
        file.write_bytes(content)

    def labels(self, path: Path, case: Case) -> Integer[np.ndarray, "*axes"]:
        """Read the segments of a DICOM SEG that refers to the images of the case."""
        uids = [one.uid for one in self.slices]
        with private(path, "is no DICOM SEG that can be read"):
            read = segread(path)
            if not set(uids) & {str(uid) for _, _, uid in read.get_source_image_uids()}:
                raise InputError(f"{path} is a segmentation of other images than {case.path}")
            if (read.Rows, read.Columns) != self.slices[0].size:
                raise InputError(f"{path} has other rows and columns than {case.path}")
        with private(path, f"does not lie on the pixels of {case.path}, or its segments overlap"):
            frames = self._read(read).astype(np.int64)
        return frames[0] if len(uids) == 1 else frames.transpose(2, 1, 0)

    def _read(self, read: Segmentation) -> np.ndarray:
        """Return the labels (slice, row, column) in the order of the slices."""
        if self.frames is not None:
            return read.get_pixels_by_source_frame(
                self.slices[0].uid,
                [frame + 1 for frame in self.frames],
                combine_segments=True,
                assert_missing_frames_are_empty=True,
            )
        return read.get_pixels_by_source_instance(
            [one.uid for one in self.slices],
            combine_segments=True,
            assert_missing_frames_are_empty=True,
        )


def _bytes(written: Dataset) -> bytes:
    """Return what a DICOM file of a dataset holds."""
    buffer = BytesIO()
    written.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _frames(mask: np.ndarray) -> Integer[np.ndarray, "slices rows columns"]:
    """Return the slices of (column, row, slice), or the one of (row, column)."""
    flat = mask.ndim == 2  # noqa: PLR2004 - rows and columns
    return mask[None] if flat else np.ascontiguousarray(mask.transpose(2, 1, 0))


def _distance(slices: Sequence[Slice]) -> float:
    """Return the millimetres from slice to slice."""
    places = [one.position for one in slices if one.position is not None]
    if len(places) < 2:  # noqa: PLR2004 - a distance lies between two
        return _NO_DISTANCE
    return float(np.linalg.norm(places[-1] - places[0])) / (len(places) - 1)


def _filled(header: Dataset, thickness: float) -> Dataset:
    """Copy a header, with empty values for what highdicom expects and files may lack."""
    filled = copy.copy(header)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in filled:
            setattr(filled, keyword, "")
    if filled.PatientSex not in _SEXES:
        filled.PatientSex = ""
    if not filled.get("SliceThickness"):
        filled.SliceThickness = DS(thickness, auto_format=True)
    if "FrameOfReferenceUID" not in filled and "ImagePositionPatient" in filled:
        # Places need a frame that they count in; images without it share none with others.
        filled.FrameOfReferenceUID = generate_uid(entropy_srcs=[str(filled.SeriesInstanceUID)])
    return filled


def _described(number: int, name: str) -> SegmentDescription:
    category, kind = _TERMS.get(name.lower().replace("_", " "), (_STRUCTURE, _STRUCTURE))
    return SegmentDescription(
        segment_number=number,
        segment_label=name[:_LABEL_LENGTH],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="samdomain",
            version=samdomain.__version__,
            family=codes.cid7162.ArtificialIntelligence,
        ),
    )


def _uid(what: str, sources: Sequence[Dataset], frames: np.ndarray, classes: Sequence[str]) -> str:
    content = sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()
    images = [str(source.SOPInstanceUID) for source in sources]
    return generate_uid(entropy_srcs=[what, content, *images, *classes, samdomain.__version__])
