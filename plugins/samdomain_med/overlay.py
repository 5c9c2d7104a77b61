"""Draw what was found over a case, and nothing that tells whose it is."""

import io

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image
from scipy import ndimage

from samdomain_med.files.case import Case
from samdomain_med.files.mark import told
from samdomain_med.intensities import Intensities

FOUND, TRUE = (255, 140, 0), (0, 200, 255)
"""Colours of outlines: orange of what was found, blue of the truth."""

_SMALLEST, _LARGEST = 320, 640  # pixels of the longer side
_IMAGE = 2  # axes of a picture


def draw(
    case: Case,
    intensities: Intensities,
    found: Integer[np.ndarray, "*axes"],
    true: Integer[np.ndarray, "*axes"] | None = None,
    axis: int = 2,
) -> bytes:
    """Return a PNG of a picture, or of a volume's slice with most of it, with outlines.

    It carries our mark, so that no search takes it for a case. Text that a device has burnt into
    the pixels stays in them.

    Args:
        case: what was looked at.
        intensities: what makes pictures of values that are no eight bits.
        found: mask on the case's grid.
        true: the truth, where it is known.
        axis: of the file, along which a volume is sliced.
    """
    values, masks = np.asarray(case.pixels), [found] if true is None else [true, found]
    shown = values.astype(np.float32) if values.dtype == np.uint8 else intensities(values).numpy()
    if len(case.shape) > _IMAGE:
        place = _fullest(masks, axis)
        shown = np.rot90(shown.take(place, axis=1 + axis), axes=(1, 2))
        masks = [np.rot90(mask.take(place, axis=axis)) for mask in masks]
    times = max(1, _SMALLEST // max(shown.shape[1:]))  # a slice of 40 pixels shows nothing
    shown, *masks = (one.repeat(times, -2).repeat(times, -1) for one in (shown, *masks))
    pixels = np.ascontiguousarray(np.broadcast_to(shown, (3, *shown.shape[1:])).transpose(1, 2, 0))
    picture = pixels.clip(0, 255).astype(np.uint8)
    colours = (FOUND,) if true is None else (TRUE, FOUND)
    for mask, colour in zip(masks, colours, strict=True):
        picture[_outline(mask)] = colour
    return _png(picture)


def _fullest(masks: list[np.ndarray], axis: int) -> int:
    """Return the slice with most of all masks; the middle one where they are empty."""
    others = tuple(i for i in range(masks[0].ndim) if i != axis)
    counts = sum((mask > 0).sum(axis=others) for mask in masks)
    counts = np.asarray(counts)
    return int(counts.argmax()) if counts.any() else len(counts) // 2


def _outline(mask: np.ndarray) -> np.ndarray:
    """Return the inner outline of each class."""
    inner = np.zeros(mask.shape, bool)
    for number in np.unique(mask[mask > 0]):
        inner |= ndimage.binary_erosion(mask == number)
    return (mask > 0) & ~inner


def _png(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    image = Image.fromarray(picture)
    scale = min(1.0, _LARGEST / max(image.size))
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size])
    stream = io.BytesIO()
    image.save(stream, format="PNG", pnginfo=told())
    return stream.getvalue()
