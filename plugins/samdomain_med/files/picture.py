"""Pictures: PNG, JPEG, TIFF, BMP and WebP in, PNG masks out, as viewers show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer
from PIL import Image

from samdomain.errors import InputError
from samdomain.training.pictures import BROKEN, GREY_MODES, loaded, read_values, values_of
from samdomain_med.files.case import Case, Kind
from samdomain_med.files.mark import told

_WHITE = 255
_ORIENTATION = 0x0112  # EXIF 2.3, section 4.6.4


@dataclass(frozen=True)
class Picture:
    """What a picture's masks need: nothing of the file, since they lie upright, as `pixels` do."""

    kind: Kind = "picture"
    suffix: str = "_mask.png"

    def save(self, mask: Integer[np.ndarray, "h w"], file: Path, classes: Sequence[str], /) -> None:
        """Write a PNG: 0 and 255 of one class, else the numbers of classes."""
        scaled = mask * mask.dtype.type(_WHITE) if len(classes) == 1 else mask
        Image.fromarray(scaled).save(file, format="PNG", pnginfo=told())

    def labels(self, path: Path, case: Case) -> Integer[np.ndarray, "h w"]:
        """Read a mask of the same size; colours count as their brightest channel."""
        values = read_values(path).numpy()
        if values.shape != case.shape:
            raise InputError(
                f"{path} has {_size(values.shape)} pixels, {case.path} has {_size(case.shape)} as "
                "viewers show it: give labels of the same size"
            )
        return values


def read_picture(path: Path, name: str | None = None) -> Case:
    """Read a picture upright, as viewers show it: one channel where it is grey, else three.

    Colours of a palette and of CMYK become RGB. Transparent pixels are laid on black and hold no
    object. Grey values of sixteen bits, and fractions, are kept; colours of sixteen bits become
    eight.

    Raises:
        InputError: the file is missing, broken, no picture, or has several pages.
    """
    notes: list[str] = []
    with loaded(path) as image:
        values, valid = _pixels(image)
    pages, orientation = _stored(path)
    if pages > 1:
        raise InputError(
            f"{path} has {pages} pages: save each as a picture of its own, or a stack of slices "
            "as NIfTI"
        )
    if orientation != 1:
        notes.append("the picture is stored turned; its mask lies on it as viewers show it")
    if values.dtype.itemsize > 1:
        notes.append(f"values of {values.dtype.name}, from {values.min()} to {values.max()}")
    if valid is not None:
        notes.append("transparent pixels count as black and hold no object")
    return Case(
        name or path.stem, path, values, Picture(), valid=valid, notes=tuple(notes)
    )  # fmt: skip


def _stored(path: Path) -> tuple[int, int]:
    """Return the number of pages, and how they are turned: Pillow forgets what it applied."""
    try:
        with Image.open(path) as stored:
            return getattr(stored, "n_frames", 1), stored.getexif().get(_ORIENTATION, 1)
    except BROKEN as error:
        raise InputError(f"{path} is broken: {error}") from error


def _pixels(image: Image.Image) -> tuple[np.ndarray, Bool[np.ndarray, "h w"] | None]:
    if image.mode in GREY_MODES:
        return _finite(values_of(image)[None])
    if image.mode == "1":
        return values_of(image.convert("L"))[None], None
    if not image.has_transparency_data:
        return _first(values_of(image.convert("RGB"))), None
    grey = image.mode in {"LA", "La"}
    clear = image.convert("RGBA")
    opacity = np.array(clear.getchannel("A"))
    ground = Image.new("RGBA", clear.size, (0, 0, 0, 255))
    laid = Image.alpha_composite(ground, clear).convert("L" if grey else "RGB")
    values = values_of(laid)
    return (values[None] if grey else _first(values)), (opacity > 0 if opacity.min() == 0 else None)


def _finite(values: np.ndarray) -> tuple[np.ndarray, Bool[np.ndarray, "h w"] | None]:
    finite = np.isfinite(values)
    if finite.all():
        return values, None
    lowest = values[finite].min() if finite.any() else 0
    return np.where(finite, values, lowest), finite[0]


def _first(values: np.ndarray) -> np.ndarray:
    """Put the channels of (row, column, channel) first."""
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in reversed(shape))
