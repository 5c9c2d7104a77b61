"""Samples from datasets of other libraries, whose items are mappings, as torchgeo's and MONAI's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import Dataset

from samdomain.errors import InputError
from samdomain.training.objects import Objects, Whole
from samdomain.training.sample import Found, Sample, Source, Split

_WHITE = 255.0  # as published weights know it
_PLANE, _STACK = 2, 3  # dimensions of (H, W) and of (C, H, W)


@dataclass(frozen=True)
class Keys:
    """Say what of an item is what.

    Attributes:
        image: key of the image (C, H, W).
        mask: key of the mask (H, W) or (1, H, W): the object or the class of each pixel. Items may
            lack it; they have no object then.
        white: value of white in the images; black is 0.
        objects: how the values of a mask become objects.
    """

    image: str = "image"
    mask: str = "mask"
    white: float = 255.0
    objects: Objects = field(default_factory=Whole)


@dataclass(frozen=True, eq=False)
class Item:
    """An item of a dataset, which is read anew each time.

    Attributes:
        dataset: where it is.
        number: its number there.
        keys: what of it is what.
    """

    dataset: Dataset[Any]
    number: int
    keys: Keys

    def part(self, key: str) -> Tensor | None:
        """Read a part of the item; None where it has no such part.

        Raises:
            InputError: the item cannot be read, or is no mapping.
        """
        try:
            item = self.dataset[self.number]
        except (OSError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise InputError(f"{self} cannot be read by its number: {error}") from error
        if not isinstance(item, Mapping):
            raise InputError(f"{self} is a {type(item).__name__}: give a dataset of mappings")
        found: Any = item.get(key)
        # Tensors that carry more than values, as MONAI's, are not to carry it through training.
        return None if found is None else torch.as_tensor(found).as_subclass(Tensor)

    def __str__(self) -> str:
        return f"item {self.number} of {type(self.dataset).__name__}"


@dataclass(frozen=True, eq=False)
class ItemImage:
    """The image of an item.

    Attributes:
        item: where it is.
    """

    item: Item

    def read(self) -> Float[Tensor, "c h w"]:
        """Read the image, white as 255.

        Raises:
            InputError: the item has no image.
        """
        keys = self.item.keys
        image = self.item.part(keys.image)
        if image is None or image.ndim != _STACK:
            shape = None if image is None else tuple(image.shape)
            raise InputError(f"{self} has {shape} as {keys.image!r}: give an image (C, H, W)")
        return image.float() * (_WHITE / keys.white)

    def digest(self) -> None:
        """Return nothing: a dataset may make other pixels each time."""

    def __str__(self) -> str:
        return str(self.item)


@dataclass(frozen=True, eq=False)
class ItemMasks:
    """The masks of an item.

    Attributes:
        item: where they are.
    """

    item: Item

    def read(self) -> Shaped[Tensor, "... h w"]:
        """Return the objects, or the class of each pixel.

        Raises:
            InputError: the mask is not as `Keys` has it.
        """
        keys = self.item.keys
        mask = self.item.part(keys.mask)
        if mask is None:
            return self._none()
        values = mask[0] if mask.ndim == _STACK and len(mask) == 1 else mask
        if values.ndim != _PLANE:
            raise InputError(
                f"{self.item} has {tuple(mask.shape)} as {keys.mask!r}: give a mask (H, W) with "
                "the number of each pixel's object or class"
            )
        return keys.objects(values.long())

    def size(self) -> tuple[int, int]:
        """Return (rows, columns) of the image."""
        rows, columns = ItemImage(self.item).read().shape[-2:]
        return rows, columns

    def _none(self) -> Bool[Tensor, "0 h w"]:
        return torch.zeros(0, *self.size(), dtype=torch.bool)


@dataclass(frozen=True, eq=False)
class Mapped(Source):
    """Take samples from datasets whose items are mappings with an image and, maybe, a mask.

    Datasets of torchgeo that are no `GeoDataset`, and datasets of MONAI whose transforms end in
    (C, H, W), are such. `data.folder` has no part in it; give any.

    Attributes:
        train: dataset of training.
        val: dataset of validation; by default a part of training's.
        test: dataset of the test.
        keys: what of an item is what, as `Keys(mask="label", white=1.0)` for MONAI.
    """

    train: Dataset  # pyright: ignore[reportMissingTypeArgument] - a class, for configs
    val: Dataset | None = None  # pyright: ignore[reportMissingTypeArgument]
    test: Dataset | None = None  # pyright: ignore[reportMissingTypeArgument]
    keys: Keys = field(default_factory=Keys)

    def find(self, folder: Path, split: Split) -> Found:
        """Find the items of a split; see `Source.find`."""
        del folder
        given: Mapping[Split, Any] = {"train": self.train, "val": self.val, "test": self.test}
        return items_of(given[split], split, self.keys)


@dataclass(frozen=True, eq=False)
class FromModule(Source):
    """Take samples from the datasets of a data module, as torchgeo's `NonGeoDataModule`s have them.

    The module is set up once, its chance fixed; its augmentations and its normalisation stay
    unused. `data.folder` has no part in it; give any.

    Attributes:
        module: data module with `train_dataset`, `val_dataset` and `test_dataset`.
        keys: what of an item is what.
    """

    module: LightningDataModule
    keys: Keys = field(default_factory=Keys)
    _stages: set[str] = field(default_factory=set[str], init=False)

    def find(self, folder: Path, split: Split) -> Found:
        """Find the items of a split; see `Source.find`."""
        del folder
        stage = "test" if split == "test" else "fit"
        if stage not in self._stages:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # some part training and validation by chance
                self.module.prepare_data()
                self.module.setup(stage)
            self._stages.add(stage)
        return items_of(getattr(self.module, f"{split}_dataset", None), split, self.keys)


def items_of(dataset: Any, split: Split, keys: Keys) -> Found:
    """Return the items of a dataset as samples; none where there is no dataset.

    Raises:
        InputError: the dataset does not know how many items it has.
    """
    if dataset is None:
        return Found(())
    if not hasattr(dataset, "__len__"):
        raise InputError(
            f"a {type(dataset).__name__} has no length: give a dataset of items by their number"
        )
    items = [Item(dataset, number, keys) for number in range(len(dataset))]
    return Found(
        tuple(Sample(f"{split}-{i.number:06d}", ItemImage(i), ItemMasks(i)) for i in items)
    )
