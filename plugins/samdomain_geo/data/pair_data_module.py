"""Folders of two dates and of what changed as a data module for torchgeo's tasks."""

from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import Dataset

from samdomain.errors import InputError
from samdomain.training.data import Samples
from samdomain.training.dataset import SampleDataset
from samdomain.training.looks import Looks
from samdomain.training.pairs import EIGHT_BITS, Pairs
from samdomain.training.sample import Sample, Source, Split
from samdomain_geo.data.sample_data_module import Item, SampleDataModule

_TOLD = 5  # files that a message names
_PAIR, _MAP = 4, 2  # dimensions of (T, C, H, W) and of (H, W)


class PairDataModule(SampleDataModule):
    """Give torchgeo's tasks of change the pairs of `train/A`, `train/B`, `train/label`, and so on.

    Batches are dictionaries as torchgeo's: `image` (B, T=2, C, H, W) from 0 to 1, the earlier date
    first, and `mask` (B, 1, H, W), 1 where something changed. In training both dates turn with
    their mask, and have the looks of the source: `Pairs` swaps them by chance. Words of the source
    are those of `samdomain fit`:

        data:
          class_path: samdomain_geo.data.PairDataModule
          init_args:
            folder: data/levir
            source:
              class_path: samdomain.training.chipped.Chipped
              init_args: {size: 256, source: {class_path: samdomain.training.pairs.Pairs}}

    Args:
        folder: folder of the data.
        source: how pairs lie in it; by default `Pairs()`, whole images. `Chipped` cuts them.
        batch_size: pairs in a batch.
        num_workers: processes that read pairs.
        views: pairs are turned and mirrored in so many ways in training, 1 to 8.
        val_share: share of the pairs of training that validation gets where the data have none.
        seed: fixes the order in training.
    """

    def __init__(
        self,
        folder: str | Path,
        source: Source | None = None,
        *,
        batch_size: int = 4,
        num_workers: int = 0,
        views: int = 8,
        val_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, num_workers, views, seed)
        self._data = Samples(Path(folder), source or Pairs(), val_share=val_share)

    def samples(self, split: Split) -> tuple[Sample, ...]:
        """Return the pairs of a split.

        Raises:
            InputError: the folder or the split is not there, or a file has no partner.
        """
        found = self._data.found(split)
        if found.problems:
            rest = len(found.problems) - _TOLD
            more = f"; and {rest} more" if rest > 0 else ""
            raise InputError(
                f"{'; '.join(found.problems[:_TOLD])}{more}: give each place one file of the same "
                "name for both dates and the mask, or remove what is left alone"
            )
        return found.samples

    def plain(self, samples: Sequence[Sample]) -> "PairItems":
        """Return pairs as they are."""
        return PairItems(samples)

    def varied(self, samples: Sequence[Sample]) -> "PairItems":
        """Return pairs in all views and looks."""
        return PairItems(samples, self.views, self._data.source.augmentation())


class PairItems(Dataset[Item]):
    """Read pairs as torchgeo's samples; each stands here once a view and look.

    Args:
        samples: pairs.
        views: number of views of each.
        looks: looks of each; the pairs as they are by default.
    """

    def __init__(
        self, samples: Sequence[Sample], views: int = 1, looks: Looks | None = None
    ) -> None:
        self._items = SampleDataset(samples, views, looks)

    def __len__(self) -> int:
        """Return the number of pairs times that of their variants."""
        return len(self._items)

    def __getitem__(self, index: int) -> Item:
        """Read a pair in a view and a look.

        Raises:
            InputError: a file cannot be read, dates or mask differ in size, or it is no pair.
        """
        item = self._items[index]
        if item.image.ndim != _PAIR:
            raise InputError(
                f"{item.name} is one image {tuple(item.image.shape)}: give a source of pairs, as "
                "samdomain.training.pairs.Pairs"
            )
        low, high = item.value_range or EIGHT_BITS
        changed = item.masks if item.masks.ndim == _MAP else item.masks.any(dim=0)
        return {"image": (item.image.float() - low) / (high - low), "mask": changed[None].long()}
