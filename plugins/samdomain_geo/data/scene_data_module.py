"""Scenes and a vector file of labels as a data module for torchgeo's tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rasterio import windows
from torch import Tensor
from torch.utils.data import Dataset

from samdomain.errors import InputError
from samdomain.training.dataset import SampleDataset
from samdomain.training.sample import Sample, Split
from samdomain_geo.data.labels import Unlabelled
from samdomain_geo.data.sample_data_module import Item, SampleDataModule
from samdomain_geo.data.scene_chip import SceneChip
from samdomain_geo.data.scene_source import BLOCKS, SceneSource


class SceneDataModule(SampleDataModule):
    """Give torchgeo's tasks the chips of scenes, with labels burnt in.

    Batches are dictionaries as torchgeo's: `image` (B, C, H, W) from 0 to 1, `mask` (B, H, W)
    with 255 where nobody labelled, `bounds` (B, 4) as left, bottom, right, top in the scene's CRS,
    and `transform` (B, 6), row by row. See `SceneSource` for what is cut where, and how it is
    shared out; further settings of it, as `bands`, go into `settings`.

    Args:
        scenes: rasters.
        labels: vector file of polygons, in any CRS.
        class_column: column of the classes; without one all polygons are "object".
        split: "blocks", or a vector file of areas whose column `split` says train, val or test.
        size: side of a chip in pixels.
        unlabelled: whether pixels in no polygon are "background", or to "ignore".
        batch_size: chips in a batch.
        num_workers: processes that read chips.
        views: chips are turned and mirrored in so many ways in training, 1 to 8.
        seed: fixes the order in training.
        settings: further fields of `SceneSource`.
    """

    def __init__(  # noqa: PLR0913 - torchgeo's data modules are built of plain values
        self,
        scenes: Sequence[str | Path],
        labels: str | Path,
        *,
        class_column: str | None = None,
        split: str = BLOCKS,
        size: int = 512,
        unlabelled: Unlabelled = "background",
        batch_size: int = 4,
        num_workers: int = 0,
        views: int = 8,
        seed: int = 0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, views, seed)
        self.source = SceneSource(
            tuple(str(path) for path in scenes),
            str(labels),
            class_column,
            split=split,
            size=size,
            unlabelled=unlabelled,
            **(settings or {}),
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by their index in masks."""
        return self.source.named(Path()).names()

    def samples(self, split: Split) -> tuple[Sample, ...]:
        """Return the chips of a split; see `SampleDataModule`."""
        samples = self.source.find(Path(), split).samples
        if not samples:
            raise InputError(
                f"there is no chip for {split!r}: give areas for it as split, or a share of the "
                f"blocks, as settings={{'{split}': 0.2}}"
            )
        return samples

    def plain(self, samples: Sequence[Sample]) -> "Chips":
        """Return chips as they are."""
        return Chips(samples)

    def varied(self, samples: Sequence[Sample]) -> "Chips":
        """Return chips in all views."""
        return Chips(samples, self.views)

    def transfer_batch_to_device(
        self, batch: Item, device: torch.device, dataloader_idx: int
    ) -> Item:
        """Move images and masks; where they lie stays in double precision, which not all have."""
        place = {name: batch[name] for name in ("bounds", "transform")}
        moved = {name: one for name, one in batch.items() if name not in place}
        return {**super().transfer_batch_to_device(moved, device, dataloader_idx), **place}


class Chips(Dataset[Item]):
    """Read chips as torchgeo's samples; each stands here once a view.

    Args:
        samples: chips of scenes.
        views: number of views of each.
    """

    def __init__(self, samples: Sequence[Sample], views: int = 1) -> None:
        self._items = SampleDataset(samples, views)

    def __len__(self) -> int:
        """Return the number of chips times the number of views."""
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        """Read a chip in a view."""
        item = self._items[index]
        place = _place(self._items.samples[index // len(self._items.views)])
        return {"image": item.image / 255, "mask": item.masks, **place}


def _place(sample: Sample) -> dict[str, Tensor]:
    """Return where a chip lies, as it is before it is turned."""
    chip = sample.image
    if not isinstance(chip, SceneChip):
        raise TypeError(f"{sample.name} is no chip of a scene")
    transform = windows.transform(chip.window, chip.scene.transform)
    bounds = windows.bounds(chip.window, chip.scene.transform)
    exact = torch.float64  # a northing in single precision is half a metre off
    return {
        "bounds": torch.tensor(bounds, dtype=exact),
        "transform": torch.tensor(transform[:6], dtype=exact),
    }
