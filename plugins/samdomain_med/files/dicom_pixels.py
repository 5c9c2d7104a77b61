"""Values of a DICOM image: decoded, colours as RGB, rescaled, white high."""

from pathlib import Path

import numpy as np
from jaxtyping import Num
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from samdomain.errors import InputError
from samdomain_med.files.dicom_header import functional_group, private

_BROKEN = "has pixels that cannot be read, or ends before them"
_COLOURS = 3  # axes of an array with colours: rows, columns, channels


def read_pixels(path: Path) -> Num[np.ndarray, "c h w"]:
    """Read the values of one DICOM image, one channel or three.

    Colours are RGB, those of palettes too, in eight bits. Grey values are rescaled by slope and
    intercept, or by the modality's table, and are float32 where there is one (PS3.3 C.11.1). Of
    MONOCHROME1, where low is white, the stored values are turned round first.

    Raises:
        InputError: there are no pixels, several frames, or no decoder for them.
    """
    with private(path, _BROKEN):
        data = _read(path)
        if int(data.get("NumberOfFrames") or 1) > 1:
            raise InputError(
                f"{path} holds {int(data.NumberOfFrames)} frames in one file, which do not say "
                "where they lie, or stand beside other files: convert it to one file a frame, as "
                "dcm4che's emf2sf does, or to NIfTI"
            )
        values = pixel_array(data)
        if data.PhotometricInterpretation == "PALETTE COLOR":
            values = _bytes(apply_color_lut(values, data))
        if values.ndim == _COLOURS:
            return np.ascontiguousarray(values.transpose(2, 0, 1)[:3])
        return np.ascontiguousarray(_rescaled(_white_high(values, data), data))[None]


def read_frames(path: Path) -> Num[np.ndarray, "n h w"]:
    """Read the values of all frames of an enhanced image, in the order of the file.

    They are rescaled as those of `read_pixels`, each frame by what its functional groups say.

    Raises:
        InputError: there are no pixels, or colours, or no decoder for them.
    """
    with private(path, _BROKEN):
        data = _read(path)
        if int(data.get("SamplesPerPixel") or 1) > 1 or "COLOR" in data.PhotometricInterpretation:
            raise InputError(f"{path} has several frames of colours: convert it to pictures")
        values = _white_high(pixel_array(data), data)
        scales = (functional_group(data, n, "PixelValueTransformation") for n in range(len(values)))
        return np.stack([_rescaled(*pair) for pair in zip(values, scales, strict=True)])


def _read(path: Path) -> Dataset:
    data = dcmread(path, force=True)
    if "PixelData" not in data:
        raise InputError(f"{path} has no pixels: take it out of the series")
    _check_decoder(path, data)
    return data


def _rescaled(values: np.ndarray, scale: Dataset) -> np.ndarray:
    if "RescaleSlope" in scale or "ModalityLUTSequence" in scale:
        return apply_modality_lut(values, scale).astype(np.float32)
    return values


def _check_decoder(path: Path, data: Dataset) -> None:
    """Refuse a compression that nothing installed can undo, by its name."""
    syntax = data.file_meta.get("TransferSyntaxUID")
    if syntax is None:  # files without their first part
        data.file_meta.TransferSyntaxUID = _plain(data)
        return
    try:
        available = get_decoder(UID(syntax)).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise InputError(
            f"{path} is compressed as {UID(syntax).name}, which nothing installed here decodes: "
            "pip install 'pylibjpeg[all]', or store it uncompressed, as dcmtk's dcmdjpeg does"
        )


def _plain(data: Dataset) -> UID:
    implicit, little = data.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _white_high(values: np.ndarray, data: Dataset) -> np.ndarray:
    if data.PhotometricInterpretation != "MONOCHROME1":
        return values
    bits = int(data.BitsStored)
    # The sum of the lowest and the highest value that can be stored, with a sign or without.
    total = -1 if int(data.PixelRepresentation) else 2**bits - 1
    return (total - values.astype(np.int32)).astype(values.dtype)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return (colours >> 8).astype(np.uint8) if colours.dtype.itemsize > 1 else colours
