"""Pairs that look otherwise in training, whichever data module delivers them."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Generator, Tensor

from samdomain.errors import InputError
from samdomain.training.dataset import epoch_seed
from samdomain.training.looks import Looks, Temporal
from samdomain.views import VIEWS, View

_PAIRS = 5  # dimensions of (B, T, C, H, W)
_WHITE = 255.0  # as looks know it; black is 0


class TemporalAugmentation(Callback):
    """Turn, swap and light the pairs of each training batch by chance.

    Both dates of a pair and its mask turn alike; looks are of the dates alone, as `Temporal`, which
    swaps them and gives each a light of its own. Swap only where masks say the same in either
    order, as those of `SamChangeDetection` do. As a callback it works on the batches of any data
    module, after its own augmentations, and for torchgeo's own tasks of change too:

        trainer:
          callbacks:
            - class_path: samdomain_geo.tasks.TemporalAugmentation
              init_args:
                views: 8
                looks: {class_path: samdomain.training.looks.Temporal, init_args: {lights: 4}}

    `samdomain fit` on a recipe has the same as `data.views` and `looks` of its pairs.
    Chance follows from the seed and the number of the batch: a training that goes on where it
    stopped sees what an undisturbed one sees.

    Args:
        views: pairs are turned and mirrored in so many ways, 1 to 8; 1 is as they are. Pairs that
            are no squares take those of them that keep the shape.
        looks: what becomes of the dates; by default they are swapped.
        seed: fixes chance.

    Raises:
        InputError: there are not so many views.
    """

    def __init__(self, views: int = len(VIEWS), looks: Looks | None = None, seed: int = 0) -> None:
        if not 1 <= views <= len(VIEWS):
            raise InputError(f"{views} views: allowed are 1 to {len(VIEWS)}")
        self.views = VIEWS[:views]
        self.looks = looks or Temporal()
        self.seed = seed

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: MutableMapping[str, Any],
        batch_idx: int,
    ) -> None:
        """Change a batch in itself: the task gets the same mapping.

        Black and white are the task's `value_range`, or 0 and 1 where it has none.
        """
        epoch = epoch_seed(self.seed, trainer.current_epoch, trainer.global_rank)
        chance = Generator().manual_seed(epoch_seed(epoch, batch_idx))
        delivered = pl_module.hparams.get("value_range", (0.0, 1.0))
        batch.update(self(batch, chance, delivered))

    def __call__(
        self, batch: Mapping[str, Any], chance: Generator, delivered: Sequence[float] = (0.0, 1.0)
    ) -> dict[str, Tensor]:
        """Return `image` and `mask` of a batch, each pair in a view and a look by chance.

        Args:
            batch: `image` (B, T=2, C, H, W) and `mask` (B, 1, H, W) or (B, H, W).
            chance: draws views and looks.
            delivered: values of black and white in the images.

        Raises:
            InputError: the batch has no pairs.
        """
        image, mask = batch["image"], batch["mask"]
        if image.ndim != _PAIRS:
            raise InputError(
                f"temporal augmentation is for pairs (B, T=2, C, H, W), this batch has images "
                f"{tuple(image.shape)}: leave the callback out, or give pairs"
            )
        square = image.shape[-2] == image.shape[-1]
        views = [view for view in self.views if square or view.quarters % 2 == 0]
        chosen = [views[_drawn(len(views), chance)] for _ in image]
        shown = [self._seen(pair, chance, delivered) for pair in image]
        return {"image": _turned(shown, chosen), "mask": _turned(mask, chosen)}

    def _seen(self, pair: Tensor, chance: Generator, delivered: Sequence[float]) -> Tensor:
        """Return a pair (T=2, C, H, W) in a look by chance."""
        low, high = delivered
        width = (high - low) / _WHITE
        look = _drawn(len(self.looks), chance)
        return self.looks((pair - low) / width, look) * width + low


def _drawn(number: int, chance: Generator) -> int:
    return int(torch.randint(number, (), generator=chance))


def _turned(maps: Sequence[Tensor] | Tensor, views: Sequence[View]) -> Tensor:
    return torch.stack([view(one) for view, one in zip(views, maps, strict=True)])
