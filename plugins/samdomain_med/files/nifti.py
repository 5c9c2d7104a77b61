"""NIfTI volumes in, NIfTI masks out with the same header of places, bit for bit."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float64, Integer, Num
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from samdomain.errors import InputError
from samdomain_med.files.case import Case, Kind
from samdomain_med.files.mark import MARK
from samdomain_med.orientation import SAME_PLACE, corners_apart, smallest_voxel

SUFFIXES = (".nii", ".nii.gz")
"""What the name of a NIfTI file ends in, in small letters."""

_AXES = 3
_DENSEST = 1100  # times smaller than its content: gzip reaches 1032 at most
# What says where voxels lie. All else of a header, descriptions and extensions among it, may tell
# of the patient and stays behind.
_PLACES = (
    "dim_info", "pixdim", "xyzt_units", "qform_code", "sform_code",
    "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z",
)  # fmt: skip
FAULTS = (
    OSError, EOFError, ValueError, TypeError, MemoryError, OverflowError, zlib.error,
    ImageFileError, HeaderDataError,
)  # fmt: skip

_Image = nib.Nifti1Image | nib.Nifti2Image


@dataclass(frozen=True)
class Nifti:
    """What a volume's masks need of its file.

    Attributes:
        header: fields of places, and no others, with the shape that the file states, which may
            have less or more axes than the case.
        form: NIfTI-1 or NIfTI-2.
        suffix: ".nii" or ".nii.gz", behind "_mask".
    """

    header: nib.Nifti1Header
    form: type[_Image]
    suffix: str
    kind: Kind = "nifti"

    def save(
        self, mask: Integer[np.ndarray, "x y z"], file: Path, _classes: Sequence[str], /
    ) -> None:
        """Write a volume of whole numbers, compressed where the image is."""
        header = self.header.copy()
        header.set_data_dtype(mask.dtype)
        header["descrip"] = f"{MARK} mask, research use only"
        shaped = mask.reshape(header.get_data_shape())
        content = self.form(shaped, None, header).to_bytes()
        # No time and no name: the same mask is the same file.
        zipped = self.suffix.endswith(".gz")
        file.write_bytes(gzip.compress(content, mtime=0) if zipped else content)

    def labels(self, path: Path, case: Case) -> Integer[np.ndarray, "x y z"]:
        """Read a volume of whole numbers on the same grid, to a twentieth of a voxel."""
        image = _opened(path)
        values = _values(path, image)
        if values.shape != case.shape:
            raise InputError(
                f"{path} has {_times(values.shape)} voxels, {case.path} has {_times(case.shape)}: "
                "give labels on the grid of the image"
            )
        if case.affine is not None and _is_placed(image):
            _check_places(path, image.affine, case.path, case.affine, case.shape)
        whole = np.rint(values)
        if not np.array_equal(whole, values):
            raise InputError(f"{path} holds fractions or NaN: labels are whole numbers")
        return whole.astype(np.int64)


def read_nifti(path: Path, name: str | None = None, *, unplaced: bool = False) -> Case:
    """Read a NIfTI volume of one channel, scaled as its header says.

    Values keep their type where the header does not scale them; else they are float32. Voxels that
    are NaN or infinite get the lowest value and hold no object.

    Args:
        path: a file `.nii` or `.nii.gz`.
        name: what the case is called; the file's name else.
        unplaced: take also a volume whose header does not say where it lies; its `affine` is then
            None, and its mask does not say it either.

    Raises:
        InputError: the file is missing, broken, of other axes than three, or has no affine.
    """
    image = _opened(path)
    placed = _is_placed(image)
    if not placed and not unplaced:
        raise InputError(
            f"{path} has no affine (its sform and qform codes are 0): set it from the scanner's "
            "files, or say that places do not matter"
        )
    values = _values(path, image)
    affine = np.asarray(image.affine, np.float64) if placed else None
    if affine is not None and not abs(np.linalg.det(affine)) > 0:  # NaN among it
        raise InputError(f"{path} has an affine that is no place for voxels: set another")
    finite = np.isfinite(values)
    notes = [] if placed else ["where the volume lies is not known; sizes are its header's"]
    if not finite.all():
        notes.append(f"{values.size - finite.sum()} voxels that are NaN or infinite hold no object")
        values = np.where(finite, values, values[finite].min() if finite.any() else 0)
    ending = ".nii.gz" if path.name.lower().endswith(".gz") else ".nii"
    return Case(
        name=name or path.name[: -len(ending)],
        path=path,
        pixels=values[None],
        origin=Nifti(_places(image), type(image), f"_mask{ending}"),
        affine=affine,
        spacing=_spacing(affine, image),
        valid=None if finite.all() else finite,
        notes=tuple(notes),
    )


def _opened(path: Path) -> _Image:
    if not path.exists():
        raise InputError(f"{path} does not exist: check the folder or the list of files")
    try:
        image = nib.load(path, mmap=False)
    except FAULTS as error:
        raise InputError(f"{path} is no NIfTI file that can be read, or is broken") from error
    if not isinstance(image, _Image):
        raise InputError(f"{path} is not a single NIfTI file: convert it to .nii.gz")
    return image


def _values(path: Path, image: _Image) -> Num[np.ndarray, "x y z"]:
    shape, kind = image.shape, np.dtype(image.get_data_dtype())
    if len(shape) > _AXES and set(shape[_AXES:]) != {1}:
        raise InputError(
            f"{path} has {len(shape)} axes ({_times(shape)}), as time series and several channels "
            f"have: save each volume of {_times(shape[:_AXES])} on its own"
        )
    if not shape or 0 in shape:
        raise InputError(f"{path} is empty: it has {_times(shape)} voxels")
    if kind.names or kind.kind not in "iuf":
        raise InputError(f"{path} holds colours or complex numbers: save one number a voxel")
    stored = path.stat().st_size * (_DENSEST if path.suffix.lower() == ".gz" else 1)
    if np.prod(shape, dtype=object) * kind.itemsize > stored:
        raise InputError(f"{path} is broken: it ends before {_times(shape)} voxels")
    try:
        values = np.asanyarray(image.dataobj)
    except FAULTS as error:
        raise InputError(f"{path} is broken: its voxels cannot be read") from error
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
    return values.reshape((*shape, 1, 1)[:_AXES])


def _is_placed(image: _Image) -> bool:
    return bool(image.header["sform_code"] > 0 or image.header["qform_code"] > 0)


def _places(image: _Image) -> nib.Nifti1Header:
    header = type(image.header)()
    header.set_data_shape(image.shape)
    for field in _PLACES:
        header[field] = image.header[field]
    return header


def _spacing(affine: Float64[np.ndarray, "4 4"] | None, image: _Image) -> tuple[float, ...]:
    if affine is not None:
        return tuple(float(side) for side in np.linalg.norm(affine[:3, :3], axis=0))
    return tuple(float(side) for side in (*image.header.get_zooms(), 1.0, 1.0)[:_AXES])


def _check_places(
    path: Path,
    affine: Float64[np.ndarray, "4 4"],
    image: Path,
    reference: Float64[np.ndarray, "4 4"],
    shape: Sequence[int],
) -> None:
    """Refuse labels of which a corner lies elsewhere than the image's."""
    apart, voxel = corners_apart(affine, reference, shape), smallest_voxel(reference)
    if not apart <= SAME_PLACE * voxel:
        raise InputError(
            f"{path} does not lie where {image} does: corners are {apart:.3g} mm apart, in voxels "
            f"of {voxel:.3g} mm: give labels on the grid of the image"
        )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in shape) or "no"
