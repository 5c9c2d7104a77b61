"""Give Lightning the batches of each split."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from samdomain.errors import InputError
from samdomain.recipes import Batch, few_shots
from samdomain.training.dataset import SampleDataset, ViewSampler, collate
from samdomain.training.folders import Folders
from samdomain.training.sample import Found, Sample, Source, Split
from samdomain.training.splits import parted


class Samples(LightningDataModule):
    """Images with masks, in splits.

    Args:
        folder: folder of the data.
        source: how images and masks lie in it.
        batch_size: images in a batch.
        views: images are turned and mirrored in so many ways by chance, 1 to 8; 1 is as they are.
        limit: train on so many images only, chosen by chance; more of them contain the fewer.
        val_share: share of the training images that validation gets where the data have none.
        workers: processes that read images; 0 reads in the training's own.
    """

    def __init__(
        self,
        folder: Path,
        source: Source | None = None,
        batch_size: int = 4,
        views: int = 1,
        limit: int | None = None,
        val_share: float = 0.2,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.source = source or Folders()
        self.batch_size = batch_size
        self.views = views
        self.limit = limit
        self.val_share = val_share
        self.workers = workers
        self.seed = 0
        """Seed of the order in training; which images are in a split never depends on it."""

    def found(self, split: Split) -> Found:
        """Find the samples of a split, validation taken from training where it has none.

        Raises:
            InputError: the folder does not exist, or has no such split.
        """
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder} is no folder: give that of the data, as --data.folder FOLDER"
            )
        found = self.source.find(self.folder, split)
        if split == "test":
            return _not_empty(found, split, self.folder)
        own = found if split == "val" else self.source.find(self.folder, "val")
        if not own.samples:
            every = _not_empty(self.source.find(self.folder, "train"), "train", self.folder)
            sides = parted(every.samples, self.val_share, seed=0)
            found = replace(every, samples=tuple(sides[split == "val"]))
        found = _not_empty(found, split, self.folder)
        return found if split == "val" else replace(found, samples=self._limited(found.samples))

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of training, in an order, in views and in looks by chance."""
        samples = self.found("train").samples
        dataset = SampleDataset(samples, self.views, self.source.augmentation())
        trainer = self.trainer
        sampler = ViewSampler(
            samples,
            dataset.variants,
            self.seed,
            0 if trainer is None else trainer.global_rank,
            1 if trainer is None else trainer.world_size,
        )
        return self._loader(dataset, sampler, self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the images of validation one by one, those of this process."""
        samples = self.found("val").samples
        trainer = self.trainer
        if trainer is not None:
            samples = samples[trainer.global_rank :: trainer.world_size]
        return self._loader(SampleDataset(samples), range(len(samples)), 1)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch."""
        del dataloader_idx
        return batch.to(device)

    def _loader(
        self, dataset: SampleDataset, sampler: ViewSampler | range, batch_size: int
    ) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            # Of its own: the seeds of workers must not come from the model's chance.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _limited(self, samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        if self.limit is None:
            return samples
        if not 1 <= self.limit <= len(samples):
            raise InputError(f"limit is {self.limit}: allowed are 1 to {len(samples)} images")
        taken = few_shots((sample.name for sample in samples), self.limit)
        return tuple(sample for sample in samples if sample.name in taken)


def _not_empty(found: Found, split: str, folder: Path) -> Found:
    if not found.samples:
        raise InputError(f"{folder} has no images with masks for {split!r}{_first(found.problems)}")
    return found


def _first(problems: Sequence[str]) -> str:
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f": {problems[0]}{more}" if problems else ""
