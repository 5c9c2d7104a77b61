"""Volumes with labels for MONAI's datasets, and a network of planes for its evaluators."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.image_reader import NibabelReader
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import Inferer
from torch import Tensor

from samdomain.errors import InputError
from samdomain.training.folders import SPLITS
from samdomain.training.sample import SPLIT_NAMES, Split, first_folder
from samdomain.training.splits import read_splits
from samdomain_med.files.finding import find_cases
from samdomain_med.files.nifti import FAULTS
from samdomain_med.meta_tensors import with_meta
from samdomain_med.slices import NEIGHBOURS, Slicing, segment_slices
from samdomain_med.workflow.splits import find_split

# The second names are those of the Medical Segmentation Decathlon.
_IMAGES = ("images", "imagesTr")
_LABELS = ("labels", "labelsTr")


def find_volumes(folder: str, split: Split) -> list[dict[str, str]]:
    """List the NIfTI volumes and labels of a split as `{"image": path, "label": path}`.

    They lie in `images` and `labels`, or `imagesTr` and `labelsTr`, under the same names, with
    the split of each in `splits.csv`; or in `train`, `validation` and `test`. Without splits all
    is for training, and validation is taken from training where there is none.

    Args:
        folder: folder of the data.
        split: train, val or test.

    Raises:
        InputError: there are no such folders, or nothing for the split.
    """
    pairs = find_split(partial(_pairs, Path(folder)), split)
    if not pairs:
        raise InputError(f"{folder} has no volumes with labels for {split!r}")
    return [{"image": str(image), "label": str(label)} for image, label in pairs]


def find_scans(folder: str) -> list[dict[str, str]]:
    """List the NIfTI volumes of a folder and of those in it as `{"image": path}`.

    Masks that samdomain wrote are left out.

    Raises:
        InputError: there is no such folder, or no volume in it.
    """
    return [{"image": str(path)} for path in _volumes(Path(folder)).values()]


class VolumeReader(NibabelReader):
    """MONAI's reader of NIfTI files, which names a file that is cut off; for `LoadImaged`."""

    def get_data(self, img: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the voxels of opened files, and what their headers know.

        Raises:
            InputError: the voxels cannot be read.
        """
        try:
            return super().get_data(img)
        except FAULTS as error:
            told = ", ".join(str(one) for one in self.filenames)
            raise InputError(f"{told} is broken: its voxels cannot be read ({error})") from error


class SlicesInferer(Inferer):
    """Ask a network of planes about each slice of volumes; an inferer for MONAI's evaluators.

    Args:
        axis: axis along which volumes are sliced, 0, 1 or 2, as in training.
        offsets: distances in slices of the channels, as in training.
        batch: slices asked about at once; it changes memory and speed alone.

    Raises:
        InputError: the axis is none of the three, or there are no offsets.
    """

    def __init__(self, axis: int = 2, offsets: Sequence[int] = NEIGHBOURS, batch: int = 8) -> None:
        super().__init__()
        self.slicing, self.batch = Slicing(axis, tuple(offsets)), batch

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Return what the network answers (B, K, X, Y, Z) to volumes (B, C, X, Y, Z).

        Args:
            inputs: volumes, which tell the answers where they lie.
            network: takes planes (N, D, H, W) and gives (N, K, H, W).
            *args: passed to the network.
            **kwargs: passed to the network.
        """
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs

        def ask(images: Tensor) -> Tensor:
            return network(images, *args, **kwargs)

        answers = [segment_slices(ask, one, self.slicing, self.batch) for one in plain]
        return with_meta(torch.stack(answers), inputs)


def _pairs(folder: Path, split: Split) -> Sequence[tuple[Path, Path]]:
    """Return the images and labels that a folder has for a split."""
    own = first_folder(folder, SPLIT_NAMES[split])
    if own is not None:
        return list(_paired(own).values())
    if first_folder(folder, _IMAGES) is None:
        return []
    pairs, listing = _paired(folder), folder / SPLITS
    if not listing.is_file():
        return list(pairs.values()) if split == "train" else []
    listed = read_splits(listing)
    names = {name for name, given in listed.items() if given in SPLIT_NAMES[split]}
    return [pair for name, pair in pairs.items() if names & {name, pair[0].name}]


def _paired(folder: Path) -> dict[str, tuple[Path, Path]]:
    images, labels = (first_folder(folder, names) for names in (_IMAGES, _LABELS))
    if images is None or labels is None:
        raise InputError(
            f"{folder} has no folders 'images' and 'labels', nor 'imagesTr' and 'labelsTr': give "
            "the folder of the data, as --dataset_dir FOLDER"
        )
    truth = _volumes(labels)
    return {name: (path, truth[name]) for name, path in _volumes(images).items() if name in truth}


def _volumes(folder: Path) -> dict[str, Path]:
    """Return the NIfTI files of a folder by their name without the ending."""
    found = {one.name: one.path for one in find_cases(folder) if one.kind == "nifti"}
    if not found:
        raise InputError(f"{folder} has no NIfTI volumes: give a folder of .nii or .nii.gz")
    return found
