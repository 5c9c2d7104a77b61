"""Read images and masks of everyday formats: PNG, JPEG, TIFF, BMP, WebP."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Num
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from torch import Tensor

from samdomain.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
"""What the name of an image or a mask may end in, in small letters."""

_ORIENTATION = 0x0112  # EXIF 2.3, section 4.6.4
BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises while it reads the pixels of a file that is broken."""

_SIDEWAYS = frozenset({5, 6, 7, 8})  # values of it whose rows are shown as columns

GREY_MODES = frozenset({"L", "I", "F", "I;16", "I;16B", "I;16L"})
"""Pillow's modes of one channel whose values are brightness, and no colours of a palette."""


def pictures(folder: Path) -> list[Path]:
    """List the images of a folder and of the folders in it, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def read_image(path: Path) -> Num[Tensor, "3 h w"]:
    """Read an image as three channels, grey ones three times the same, transparency dropped.

    Values are as in the file: 0 to 255 for eight bits.

    Raises:
        InputError: the file is missing, broken or no image.
    """
    with loaded(path) as image:
        if image.mode in GREY_MODES:
            values = values_of(image)
            return torch.as_tensor(values)[None].expand(3, -1, -1).contiguous()
        return torch.as_tensor(values_of(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def read_values(path: Path) -> Int[Tensor, "h w"]:
    """Read the values of a mask: classes, ids, or black and white.

    A mask with colours counts as black where all of its channels are 0.

    Raises:
        InputError: the file is missing, broken or no image.
    """
    with loaded(path) as image:
        return torch.as_tensor(mask_values(image).astype(np.int64))


def mask_values(image: Image.Image) -> np.ndarray:
    """Return the values (rows, columns) of a mask's image that is loaded; see `read_values`."""
    if image.mode in GREY_MODES | {"1", "P"}:
        return values_of(image)
    if image.mode == "LA":
        return values_of(image.convert("L"))
    return values_of(image.convert("RGB")).max(axis=2)


def size(path: Path) -> tuple[int, int]:
    """Read the (rows, columns) of an image, as viewers show it, without its pixels.

    Raises:
        InputError: the file is missing or no image.
    """
    with _opened(path) as image:
        # Of a TIFF Pillow tells the upright size.
        turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _SIDEWAYS
        return (image.width, image.height) if turned else (image.height, image.width)


def loaded(path: Path) -> ImageFile:
    """Open an image and read its pixels, upright as viewers show it; close it after use.

    Raises:
        InputError: the file is missing, broken or no image.
    """
    image = _opened(path)
    try:
        load_upright(image)
    except BROKEN as error:
        image.close()
        raise InputError(f"{path} is broken: {error}") from error
    return image


def load_upright(image: ImageFile) -> None:
    """Read the pixels of an image that is open, and turn it in itself as viewers show it.

    Raises:
        BROKEN: the file is broken, in Pillow's words.
    """
    # Without a name it is read and not mapped: Pillow 13 maps TIFFs that are stored turned
    # with rows and columns exchanged, which garbles them.
    image.filename = ""
    image.load()
    ImageOps.exif_transpose(image, in_place=True)


def values_of(image: Image.Image) -> np.ndarray:
    """Return the values of an image that is loaded, those of sixteen bits as int32."""
    values = np.array(image)
    # torch has no operations for uint16 and big-endian values.
    return values.astype(np.int32) if values.dtype.itemsize == 2 else values  # noqa: PLR2004 - bytes


def _opened(path: Path) -> ImageFile:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the folder or the list of files") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no image that can be read: {error}") from error
