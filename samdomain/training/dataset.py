"""Read samples one by one, in one of several views, and put them together into batches."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Num, Shaped
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from samdomain.errors import InputError
from samdomain.recipes import Batch
from samdomain.sam import Prompts
from samdomain.training.looks import AsTheyAre, Looks
from samdomain.training.prompting import joined_prompts, turned_prompts
from samdomain.training.sample import Sample
from samdomain.views import VIEWS


@dataclass(frozen=True, eq=False)
class Item:
    """A sample that was read.

    Attributes:
        name: name of the sample.
        image: its pixels (C, H, W), or those of several dates (T, C, H, W).
        masks: its objects, one plane each (N, H, W), or the class of each pixel (H, W).
        value_range: see `Sample`.
        prompts: see `Sample`; turned with the image.
    """

    name: str
    image: Num[Tensor, "*t c h w"]
    masks: Shaped[Tensor, "... h w"]
    value_range: tuple[float, float] | None = None
    prompts: Prompts | None = None


class SampleDataset(Dataset[Item]):
    """Read samples; each stands here once a view and look.

    Item k is sample k // N in variant k % N of N = V L, which is view v and look l as v L + l: who
    chooses the item chooses these, so that reading has no chance in it and may happen in any
    process.

    Args:
        samples: what to read.
        views: V, the number of views of `samdomain.views.VIEWS`, from the first on.
        looks: L looks; the images as they are by default.

    Raises:
        InputError: there are no such views, or samples have prompts and things move in the looks.
    """

    def __init__(
        self, samples: Sequence[Sample], views: int = 1, looks: Looks | None = None
    ) -> None:
        if not 1 <= views <= len(VIEWS):
            raise InputError(f"{views} views: allowed are 1 to {len(VIEWS)}")
        self.samples = tuple(samples)
        self.views = VIEWS[:views]
        self.looks = looks or AsTheyAre()
        if self.looks.moves and any(one.prompts is not None for one in samples):
            raise InputError(
                f"prompts do not follow the looks of {type(self.looks).__name__}, which move "
                "things: leave looks out, or prompts"
            )

    @property
    def variants(self) -> int:
        """Return how often each sample stands here."""
        return len(self.views) * len(self.looks)

    def __len__(self) -> int:
        """Return the number of samples times the number of their variants."""
        return len(self.samples) * self.variants

    def __getitem__(self, index: int) -> Item:
        """Read an item.

        Raises:
            InputError: a file cannot be read, or image and masks differ in size.
        """
        sample, variant = divmod(index, self.variants)
        view, look = divmod(variant, len(self.looks))
        item = read_item(self.samples[sample], view)
        masks = self.looks.masks(item.masks, look)
        return replace(item, image=self.looks(item.image, look), masks=masks)


def read_item(sample: Sample, view: int = 0) -> Item:
    """Read a sample in a view of `samdomain.views.VIEWS`.

    Raises:
        InputError: a file cannot be read, or image and masks differ in size.
    """
    image, masks = sample.image.read(), sample.masks.read()
    if image.shape[-2:] != masks.shape[-2:]:
        raise InputError(
            f"{sample.image} has {tuple(image.shape[-2:])} pixels, its masks "
            f"{tuple(masks.shape[-2:])}: samdomain fit --check lists all of these"
        )
    turn = VIEWS[view]
    turned, planes = (turn(one).contiguous() for one in (image, masks))
    size = (image.shape[-2], image.shape[-1])
    prompts = None if sample.prompts is None else turned_prompts(sample.prompts, turn, size)
    return Item(sample.name, turned, planes, sample.value_range, prompts)


def collate(items: Sequence[Item]) -> Batch:
    """Put items together; images keep their own sizes."""
    return Batch(
        images=[item.image.float() for item in items],
        masks=[item.masks for item in items],
        names=[item.name for item in items],
        value_range=items[0].value_range,
        prompts=joined_prompts([item.prompts for item in items]),
    )


class ViewSampler(Sampler[int]):
    """Take each sample once an epoch in a variant by chance, in an order by chance.

    Where samples have different weights, as many are drawn with replacement, the heavier ones
    more often.

    Both follow from the seed and the epoch alone, so that a training that goes on where it
    stopped sees what an undisturbed one sees. Several processes share the samples out; a few
    are taken twice where they do not share out evenly.

    Args:
        samples: what to draw from.
        variants: number of variants of each; see `SampleDataset`.
        seed: fixes the order.
        process: number of this process, from 0.
        processes: number of processes that train together.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        variants: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.weights = torch.tensor([one.weight for one in samples], dtype=torch.double)
        self.variants = variants
        self.seed = seed
        self.process = process
        self.processes = processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of items of this process."""
        return math.ceil(len(self.weights) / self.processes)

    def __iter__(self) -> Iterator[int]:
        """Yield the items of this process in an epoch."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        number = len(self.weights)
        order = torch.randperm(number, generator=generator)
        if number and not torch.all(self.weights == self.weights[0]):
            order = torch.multinomial(self.weights, number, replacement=True, generator=generator)
        variant = torch.randint(self.variants, (number,), generator=generator)
        items = (order * self.variants + variant).tolist()
        whole = items * (1 + len(self) * self.processes // max(1, len(items)))
        yield from whole[self.process : len(self) * self.processes : self.processes]


def epoch_seed(seed: int, epoch: int, process: int = 0) -> int:
    """Return a seed of its own for each epoch and process of a training."""
    # Primes keep neighbouring seeds and epochs from meeting.
    return seed * 1_000_003 + epoch * 1009 + process
