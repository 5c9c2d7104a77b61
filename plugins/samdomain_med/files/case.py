"""An image or a volume of a patient: its values, where they lie, and how its mask is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float64, Integer, Num

from samdomain.errors import InputError
from samdomain.whole_file import whole_file, writing

Kind = Literal["picture", "nifti", "dicom"]
"""Sorts of files: PNG, JPEG or TIFF; NIfTI; a DICOM series."""


class Origin(Protocol):
    """What is kept of the files that a case was read from, to write masks in their geometry."""

    @property
    def kind(self) -> Kind:
        """Sort of the files."""
        ...

    @property
    def suffix(self) -> str:
        """What the name of a mask ends in, behind the name of the case."""
        ...

    def save(
        self, mask: Integer[np.ndarray, "*axes"], file: Path, classes: Sequence[str], /
    ) -> None:
        """Write a mask whose values are 0 and the numbers of classes, from 1 on."""
        ...

    def labels(self, path: Path, case: "Case") -> Integer[np.ndarray, "*axes"]:
        """Read labels that lie on a case; see `Case.labels`."""
        ...


@dataclass(frozen=True, eq=False)
class Case:
    """One image or volume, as it lies in its files.

    Attributes:
        name: what it is called in lists, unique within one search, "/" between folders.
        path: its file, or the folder of a series.
        pixels: (channel, row, column) of an image; of a volume (channel, i, j, k) in the order of
            NIfTI, where `affine` @ (i, j, k, 1) is a place: of a DICOM series i counts columns,
            j rows and k slices. Values are as in the file, rescaled where it says so.
        origin: what writes its masks. Holds headers, with what they say of the patient.
        affine: (4, 4) from voxels to millimetres right, anterior and superior of the patient;
            None of images, and of volumes whose place is not known.
        spacing: distance of neighbours in millimetres along each axis behind the channels.
        modality: as in DICOM, "CT" or "US".
        valid: False where the file holds no value, as transparent pixels and voxels that are NaN;
            no object lies there. None where all are valid.
        notes: what was changed or assumed in reading; each is a sentence to show.
    """

    name: str
    path: Path
    pixels: Num[np.ndarray, "c ..."] = field(repr=False)
    origin: Origin = field(repr=False)
    affine: Float64[np.ndarray, "4 4"] | None = None
    spacing: tuple[float, ...] | None = None
    modality: str | None = None
    valid: Bool[np.ndarray, "*axes"] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """Sort of its files."""
        return self.origin.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis, without the channels: two of an image, three of a volume."""
        return self.pixels.shape[1:]

    def labels(self, path: Path) -> Integer[np.ndarray, "*axes"]:
        """Read labels of the same kind of file, as whole numbers on the grid of `pixels`.

        Values are as in the file: black and white of a picture are 0 and 255.

        Raises:
            InputError: they cannot be read, hold fractions, or lie on another grid.
        """
        return self.origin.labels(path, self)

    def target(self, folder: Path) -> Path:
        """Return where `write` puts the mask below a folder."""
        return folder / f"{self.name}{self.origin.suffix}"

    def write(
        self,
        mask: Bool[np.ndarray, "*axes"] | Integer[np.ndarray, "*axes"],
        folder: Path,
        classes: Sequence[str] = ("object",),
    ) -> Path:
        """Write a mask of this case below a folder: same kind of file, same geometry.

        A picture's is a PNG, 0 and 255 of one class, numbers of several; a volume's a NIfTI of the
        same affine, codes and units; a series' a DICOM SEG with a segment for each class.

        Args:
            mask: on the grid of `pixels`: 0 for background, i for `classes[i - 1]`.
            folder: made where it is missing; the file appears when all of it is written.
            classes: names of the classes.

        Raises:
            InputError: the mask is of another shape or has values without a class, or nothing
                can be written there.
            StoppedError: the disk failed half-way.
        """
        cleared = self._cleared(mask, classes)
        target = self.target(folder)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as scratch:
                self.origin.save(cleared, scratch, classes)
        return target

    def _cleared(self, mask: np.ndarray, classes: Sequence[str]) -> np.ndarray[Any, Any]:
        if mask.shape != self.shape:
            raise InputError(
                f"{self.path}: a mask of {mask.shape} does not lie on an image of {self.shape}"
            )
        if mask.size and (mask.min() < 0 or mask.max() > len(classes)):
            raise InputError(
                f"{self.path}: the mask's values go from {mask.min()} to {mask.max()}, "
                f"its classes from 1 to {len(classes)}: name each class"
            )
        mask = mask.astype(np.uint8 if len(classes) < 2**8 else np.uint16)
        return mask if self.valid is None else np.where(self.valid, mask, 0).astype(mask.dtype)
