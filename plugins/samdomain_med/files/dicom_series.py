"""DICOM series in: the images of a folder, or one file, as a case."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from samdomain.errors import InputError
from samdomain_med.files.case import Case
from samdomain_med.files.dicom_header import (
    Slice,
    frames_of,
    is_dicom,
    is_enhanced,
    read_slice,
)
from samdomain_med.files.dicom_pixels import read_frames, read_pixels
from samdomain_med.files.dicom_seg import Series
from samdomain_med.files.dicom_stack import Stack, stack


def read_series(path: Path, name: str | None = None, *, series: str | None = None) -> Case:
    """Read a DICOM series: (channel, column, row, slice), or an image: (channel, row, column).

    Slices are ordered by their places. Reports, segmentations and other objects that are no images
    are left out. An image is a series of one slice, as of ultrasound and endoscopy. The frames of
    an enhanced image, as of CT and MR in one file, are slices.

    Args:
        path: a folder, of which the files directly in it count, or one file.
        name: what the case is called; the folder's or the file's name else.
        series: which of several in the folder: its UID, or its number from 1 on.

    Raises:
        InputError: a file is broken, there is no image or several series, or they are no volume.
    """
    slices = _chosen(path, series_in(path), series)
    name = name or (path.name if path.is_dir() else path.stem)
    modality = slices[0].modality
    if len(slices) == 1 and is_enhanced(slices[0].header):
        frames = frames_of(slices[0])
        ordered = stack(frames)
        places = tuple(frames.index(one) for one in ordered.slices)
        values = read_frames(slices[0].path)[list(places)]
        volume = np.ascontiguousarray(values.transpose(2, 1, 0))[None]
        return _case(name, path, volume, ordered, Series(ordered.slices, places))
    if len(slices) == 1:
        pixels = read_pixels(slices[0].path)
        spacing = slices[0].spacing
        apart = None if spacing is None else tuple(float(side) for side in spacing)
        return Case(name, path, pixels, Series(tuple(slices)), spacing=apart, modality=modality)
    ordered = stack(slices)
    return _case(name, path, _volume(ordered.slices), ordered, Series(ordered.slices))


def _case(name: str, path: Path, volume: np.ndarray, ordered: Stack, origin: Series) -> Case:
    return Case(
        name=name,
        path=path,
        pixels=volume,
        origin=origin,
        affine=ordered.affine,
        spacing=ordered.spacing,
        modality=ordered.slices[0].modality,
    )


def series_in(path: Path) -> dict[str, list[Slice]]:
    """Read the headers of a folder's DICOM files, or of one file, by series.

    Returns:
        the images of each series by its UID, in the order of the scanner's numbers, then of UIDs.

    Raises:
        InputError: a file is missing or broken, or there is no image.
    """
    files = _files(path) if path.is_dir() else [path]
    found: dict[str, list[Slice]] = defaultdict(list)
    for file in files:
        one = read_slice(file)
        if one is not None:
            found[one.series].append(one)
    if not found:
        raise InputError(f"{path} holds no DICOM image: give a folder or a file of a series")
    return dict(sorted(found.items(), key=lambda item: (item[1][0].number, item[0])))


def _files(folder: Path) -> list[Path]:
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in shown if path.is_file() and is_dicom(path))


def _chosen(path: Path, found: dict[str, list[Slice]], series: str | None) -> list[Slice]:
    if series is None and len(found) == 1:
        return next(iter(found.values()))
    if series in found:
        return found[series]
    if series is not None and series.isdecimal() and 1 <= int(series) <= len(found):
        return list(found.values())[int(series) - 1]
    # Neither descriptions nor UIDs, which may tell of the patient.
    listed = ", ".join(
        f"{number}: {len(slices)} files as {slices[0].path.name}"
        for number, slices in enumerate(found.values(), start=1)
    )
    asked = "" if series is None else f", and none is {series!r}"
    raise InputError(
        f"{path} holds {len(found)} series ({listed}){asked}: choose one with --series, by its "
        "number or UID"
    )


def _volume(slices: Sequence[Slice]) -> np.ndarray:
    first = read_pixels(slices[0].path)
    channels, rows, columns = first.shape
    volume = np.empty((channels, columns, rows, len(slices)), dtype=first.dtype)
    for index, one in enumerate(slices):
        values = first if index == 0 else read_pixels(one.path)
        if values.dtype != volume.dtype:  # one slice is rescaled, another is not
            volume = volume.astype(np.promote_types(values.dtype, volume.dtype))
        volume[..., index] = values.transpose(0, 2, 1)
    return volume
