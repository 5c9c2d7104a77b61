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
from samdomain_med.files.dicom_header import private

_COLOURS = 3  # axes of an array with colours: rows, columns, channels


def read_pixels(path: Path) -> Num[np.ndarray, "c h w"]:
    """Read the values of one DICOM image, one channel or three.

    Colours are RGB, those of palettes too, in eight bits. Grey values are rescaled by slope and
    intercept, or by the modality's table, and are float32 where there is one (PS3.3 C.11.1). Of
    MONOCHROME1, where low is white, the stored values are turned round first.

    Raises:
        InputError: there are no pixels, several frames, or no decoder for them.
    """
    with private(path, "has pixels that cannot be read, or ends before them"):
        data = dcmread(path, force=True)
        if "PixelData" not in data:
            raise InputError(f"{path} has no pixels: take it out of the series")
        if int(data.get("NumberOfFrames") or 1) > 1:
            raise InputError(
                f"{path} holds {int(data.NumberOfFrames)} frames in one file: convert it to one "
                "file a frame, as dcm4che's emf2sf does, or to NIfTI"
            )
        _check_decoder(path, data)
        values = pixel_array(data)
        if data.PhotometricInterpretation == "PALETTE COLOR":
            values = _bytes(apply_color_lut(values, data))
        if values.ndim == _COLOURS:
            return np.ascontiguousarray(values.transpose(2, 0, 1)[:3])
        if data.PhotometricInterpretation == "MONOCHROME1":
            values = _turned(values, data)
        if "RescaleSlope" in data or "ModalityLUTSequence" in data:
            values = apply_modality_lut(values, data).astype(np.float32)
        return np.ascontiguousarray(values)[None]


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


def _turned(values: np.ndarray, data: Dataset) -> np.ndarray:
    bits = int(data.BitsStored)
    # The sum of the lowest and the highest value that can be stored, with a sign or without.
    total = -1 if int(data.PixelRepresentation) else 2**bits - 1
    return (total - values.astype(np.int32)).astype(values.dtype)


def _bytes(colours: np.ndarray) -> np.ndarray:
    return (colours >> 8).astype(np.uint8) if colours.dtype.itemsize > 1 else colours
