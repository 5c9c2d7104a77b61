"""Samples as a data module for torchgeo's tasks, whatever they are cut from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from torchgeo.datamodules import BaseDataModule

from samdomain.errors import InputError
from samdomain.training.dataset import ViewSampler
from samdomain.training.sample import Sample, Split

Item = dict[str, Any]


class SampleDataModule(BaseDataModule, ABC):
    """Give torchgeo's tasks batches of samples: dictionaries with `image` and `mask`.

    It is one of torchgeo's data modules, since `torchgeo fit` takes no others.

    Args:
        batch_size: samples in a batch.
        num_workers: processes that read samples.
        views: samples are turned and mirrored in so many ways in training, 1 to 8.
        seed: fixes the order in training.
    """

    def __init__(self, batch_size: int, num_workers: int, views: int, seed: int) -> None:
        super().__init__(Dataset, batch_size, num_workers)
        self.views = views
        self.seed = seed

    @abstractmethod
    def samples(self, split: Split) -> tuple[Sample, ...]:
        """Return the samples of a split, one or more.

        Raises:
            InputError: the split has none.
        """

    @abstractmethod
    def plain(self, samples: Sequence[Sample]) -> Dataset[Item]:
        """Return samples as they are; each stands there once."""

    @abstractmethod
    def varied(self, samples: Sequence[Sample]) -> Dataset[Item]:
        """Return samples as training sees them; each stands there once a variant, side by side."""

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:
        """Return a batch as it is: its values are 0 to 1, which torchgeo would divide by 255."""
        del dataloader_idx
        return batch

    def train_dataloader(self) -> DataLoader[Item]:
        """Return the samples of training, in an order and in variants by chance."""
        samples = self.samples("train")
        items: Any = self.varied(samples)
        trainer = self.trainer
        process, processes = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        variants = len(items) // len(samples)
        sampler = ViewSampler(samples, variants, self.seed, process, processes)
        return self._loader(items, SharedOut(sampler))

    def val_dataloader(self) -> DataLoader[Item]:
        """Return the samples of validation."""
        return self._loader(self.plain(self.samples("val")))

    def test_dataloader(self) -> DataLoader[Item]:
        """Return the samples of the test."""
        return self._loader(self.plain(self.samples("test")))

    def predict_dataloader(self) -> DataLoader[Item]:
        """Return the samples of the test; `samdomain segment` and `change` predict whole scenes."""
        return self.test_dataloader()

    def _loader(self, items: Dataset[Item], sampler: "SharedOut | None" = None) -> DataLoader[Item]:
        return DataLoader(
            items, self.batch_size, sampler=sampler, num_workers=self.num_workers, collate_fn=stack
        )


class SharedOut(DistributedSampler[int]):
    """A sampler that shares its items out already, of the kind by which Lightning knows these.

    It would share out once more what any other sampler leaves to a process, so that processes
    that train together saw a part of the samples.

    Args:
        own: what shares out.
    """

    def __init__(self, own: ViewSampler) -> None:
        self._own = own  # the base's own arguments are for sharing out, which is done

    def __iter__(self) -> Iterator[int]:
        """Yield the items of this process."""
        return iter(self._own)

    def __len__(self) -> int:
        """Return their number."""
        return len(self._own)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        self._own.set_epoch(epoch)


def stack(items: Sequence[Item]) -> Item:
    """Put samples together to a batch.

    Raises:
        InputError: their images differ in size.
    """
    sizes = {tuple(item["image"].shape) for item in items}
    if len(sizes) > 1:
        raise InputError(
            f"images of {' and '.join(map(str, sorted(sizes)))} cannot be one batch: cut chips of "
            "one size, or give batch_size 1"
        )
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}
