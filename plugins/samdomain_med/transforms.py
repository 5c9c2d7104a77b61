"""What MONAI's dictionary transforms lack for a SAM: values, checks, slices, and prompts."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import SpatialPadd
from monai.transforms.spatial.dictionary import Resized
from monai.transforms.transform import (
    MapTransform,
    Randomizable,
    RandomizableTransform,
    Transform,
)
from monai.utils.type_conversion import convert_to_dst_type
from torch import Tensor

from samdomain.errors import InputError
from samdomain.masks import components
from samdomain.prompting import rough_boxes_around
from samdomain.sam import Prompts
from samdomain_med.intensities import CT_WINDOWS, PICTURE_RANGE, Intensities, Percentiles, Window
from samdomain_med.meta_tensors import file_of
from samdomain_med.orientation import SAME_PLACE, corners_apart, smallest_voxel
from samdomain_med.slices import NEIGHBOURS, Slicing

Data = Mapping[Hashable, Any]

_RGB = 3
_VOLUME = 3  # axes


class PictureValuesd(MapTransform):
    """Turn scans into pictures: values 0 to 1, and three channels by default.

    One mapping holds for all of an image, and so for all slices of a volume. What MetaTensors
    know stays with them.

    Args:
        keys: images (C, ...) of 1 or 3 channels.
        window: name of a window of CT, as "lung"; or its centre and width in Hounsfield units.
        percentiles: what becomes black and white, in per cent of the voxels that are not 0, where
            no window is given.
        allow_missing_keys: leave out what is not there.
        repeat: make three channels of one. Leave a volume's alone where slices are to have their
            neighbours as channels; see `RandSlicesd`.

    Raises:
        InputError: the window is unknown, or an image has other channels.
    """

    def __init__(
        self,
        keys: KeysCollection,
        window: str | Sequence[float] | None = None,
        percentiles: Sequence[float] = (0.5, 99.5),
        allow_missing_keys: bool = False,  # noqa: FBT001, FBT002 - as MONAI has it
        *,
        repeat: bool = True,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.intensities = _intensities(window, percentiles)
        self.repeat = repeat

    def __call__(self, data: Data) -> dict[Hashable, Any]:
        """Return the data with pictures in the place of scans."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            image = changed[key]
            if len(image) not in {1, _RGB}:
                raise InputError(
                    f"{file_of(image, key)} has {len(image)} channels: a picture is made of 1 or "
                    f"of {_RGB}; select them first, as with SplitDimd"
                )
            shown = self.intensities(image) / PICTURE_RANGE[1]
            if len(image) == 1 and self.repeat:
                shown = shown.expand(_RGB, *shown.shape[1:]).contiguous()
            changed[key], *_ = convert_to_dst_type(shown, image)
        return changed


class CheckLabeld(Transform):
    """Refuse a label that does not fit its image, by the names of their files.

    Put it behind the loading of both: what comes later raises errors that name no file. The data
    stay as they are. Of volumes that were read as MetaTensors the places are compared too.

    Args:
        keys: names of the image and of the label, (C, ...) each.
        classes: number of classes, where labels hold their numbers from 0; None allows any values.

    Raises:
        InputError: the label has another size than the image, lies elsewhere, or has a value that
            is no class.
    """

    def __init__(
        self, keys: Sequence[str] = ("image", "label"), classes: int | None = None
    ) -> None:
        self.image, self.label = keys
        self.classes = classes

    def __call__(self, data: Data) -> Data:
        """Return the data."""
        image, label = data[self.image], data[self.label]
        path = file_of(label, self.label)
        if image.shape[1:] != label.shape[1:]:
            raise InputError(
                f"{path} is {_size(label)}, its image {file_of(image, self.image)} is "
                f"{_size(image)}: give a label in the size of the image"
            )
        self._check_place(image, label)
        if self.classes is not None and label.numel():
            low, high = float(label.min()), float(label.max())
            if not 0 <= low <= high < self.classes:
                raise InputError(
                    f"{path} has values from {low:g} to {high:g}: allowed are 0 to "
                    f"{self.classes - 1}, the numbers of the classes"
                )
        return data

    def _check_place(self, image: Tensor, label: Tensor) -> None:
        if not (isinstance(image, MetaTensor) and isinstance(label, MetaTensor)):
            return
        shape = image.shape[1:]
        if len(shape) != _VOLUME:
            return
        here, there = (np.asarray(one.affine, np.float64) for one in (image, label))
        apart, voxel = corners_apart(there, here, shape), smallest_voxel(here)
        if not apart <= SAME_PLACE * voxel:
            raise InputError(
                f"{file_of(label, self.label)} does not lie where its image "
                f"{file_of(image, self.image)} does: corners are {apart:.3g} mm apart, in voxels "
                f"of {voxel:.3g} mm: give a label on the grid of the image"
            )


class RandSlicesd(Randomizable, Transform):
    """Take slices of a volume and of its label by chance, as images for a 2-D network.

    Gives a list of dictionaries, which MONAI's loaders flatten: `image` (D, H, W) with the
    neighbours of the slice as channels, and `label` (1, H, W). All else is in each of them as it
    was; where the slices lie in space is not told.

    Args:
        keys: names of the volume and of the label, (1, X, Y, Z) each.
        axis: axis along which volumes are sliced, 0, 1 or 2.
        offsets: distances in slices of the channels; see `samdomain_med.slices.Slicing`.
        num_samples: slices of a volume, each at most once; None takes all in their order.

    Raises:
        InputError: the axis is none of the three, or no slice is asked for.
    """

    def __init__(
        self,
        keys: Sequence[str] = ("image", "label"),
        axis: int = 2,
        offsets: Sequence[int] = NEIGHBOURS,
        num_samples: int | None = None,
    ) -> None:
        if num_samples is not None and num_samples < 1:
            raise InputError(f"num_samples is {num_samples}: give 1 or more slices a volume")
        self.image, self.label = keys
        self.slicing, self.alone = Slicing(axis, tuple(offsets)), Slicing(axis, (0,))
        self.num_samples = num_samples

    def __call__(self, data: Data) -> list[dict[Hashable, Any]]:
        """Return the slices, those in one list that come from one volume."""
        slices = self.slicing.stack(torch.as_tensor(data[self.image]))
        labels = self.alone.stack(torch.as_tensor(data[self.label]))
        if labels.shape != slices.shape:
            raise InputError(
                f"{file_of(data[self.image], self.image)} is {tuple(slices.shape)}, its label "
                f"{file_of(data[self.label], self.label)} is {tuple(labels.shape)} (slices, "
                "channels, rows, columns): give both on one grid, with one channel"
            )
        chosen = self._choose(len(slices))
        images = self.slicing.images(slices, chosen)
        masks = self.alone.images(labels, chosen)
        return [
            {**data, self.image: image, self.label: mask}
            for image, mask in zip(images, masks, strict=True)
        ]

    def _choose(self, count: int) -> list[int]:
        if self.num_samples is None:
            return list(range(count))
        number = min(self.num_samples, count)
        return self.R.choice(count, number, replace=False).tolist()


class BoxesFromLabeld(MapTransform, RandomizableTransform):
    """Make box prompts from a label, as a hurried hand draws them; always the same number.

    Adds `boxes` (N, 4) as left, top, right, bottom in pixels, where x counts along the last axis,
    and `prompted` (N, H, W): which object each asks for. Objects are what hangs together. Where
    there are fewer than N some are asked for again; an empty label gives boxes of the whole image,
    and empty objects.

    Args:
        keys: the label (1, H, W); all that is not 0 is an object.
        objects: N, chosen by chance.
        share: share of the width or height by which a side moves, as one standard deviation.
        allow_missing_keys: leave out what is not there.
    """

    def __init__(
        self,
        keys: KeysCollection = "label",
        objects: int = 1,
        share: float = 0.1,
        allow_missing_keys: bool = False,  # noqa: FBT001, FBT002 - as MONAI has it
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self)
        if objects < 1:
            raise InputError(f"objects is {objects}: give 1 or more boxes an image")
        self.objects, self.share = objects, share

    def __call__(self, data: Data) -> dict[Hashable, Any]:
        """Return the data with boxes and the objects that they ask for."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            label = torch.as_tensor(np.asarray(changed[key])[0] != 0)
            chosen = self._choose(components(label))
            changed["boxes"], changed["prompted"] = self._boxes(chosen), chosen
        return changed

    def _choose(self, objects: Bool[Tensor, "m h w"]) -> Bool[Tensor, "n h w"]:
        if not len(objects):
            return objects.new_zeros((self.objects, *objects.shape[1:]))
        few = len(objects) < self.objects
        places = self.R.choice(len(objects), self.objects, replace=few)
        return objects[torch.as_tensor(places)]

    def _boxes(self, objects: Bool[Tensor, "n h w"]) -> Tensor:
        rows, columns = objects.shape[1:]
        if not objects.any():
            return torch.tensor([[0.0, 0.0, columns, rows]]).repeat(len(objects), 1)
        chance = torch.Generator().manual_seed(int(self.R.randint(2**31)))
        boxes = rough_boxes_around(objects, chance, share=self.share).boxes
        if boxes is None:
            raise TypeError("boxes around masks are no boxes")
        return boxes


def batch_prompts(boxes: Tensor) -> Prompts:
    """Return the boxes (B, N, 4) of a collated batch as its B * N prompts, image by image."""
    images = torch.arange(len(boxes), device=boxes.device).repeat_interleave(boxes.shape[1])
    return Prompts(boxes=boxes.flatten(0, 1).float(), images=images)


def to_input(keys: KeysCollection, input_size: int, mode: str | Sequence[str]) -> Compose:
    """Bring planes to the model's input: the longer side fills it, the rest is padded with zeros.

    The network does this by itself; do it beforehand where batches need one size. MONAI's
    `Invertd` brings answers back to the planes as they were.

    Args:
        keys: planes (C, H, W).
        input_size: side of the model's input in pixels, as `sam.spec.input_size`.
        mode: interpolation of each, as ("area", "nearest") for image and label.
    """
    return Compose(
        [
            Resized(keys, input_size, size_mode="longest", mode=mode),
            SpatialPadd(keys, (input_size, input_size), method="end"),
        ]
    )


def _size(image: Tensor) -> str:
    return " x ".join(str(side) for side in image.shape[1:])


def _intensities(window: str | Sequence[float] | None, percentiles: Sequence[float]) -> Intensities:
    if window is None:
        low, high = percentiles
        return Percentiles(low, high)
    if isinstance(window, str):
        if window not in CT_WINDOWS:
            raise InputError(
                f"window {window!r} is unknown: known are {', '.join(CT_WINDOWS)}, or give centre "
                "and width"
            )
        return CT_WINDOWS[window]
    centre, width = window
    return Window(centre, width)
