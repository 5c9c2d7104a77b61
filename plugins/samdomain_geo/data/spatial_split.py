"""Share out the chips of scenes among the splits, so that these are apart in space."""

import random
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain.training.sample import Split

_TRIES = 64  # sharings that are compared


@dataclass(frozen=True)
class BlockSplit:
    """Share out blocks of neighbouring chips, so that the splits are apart in space.

    Neighbouring chips show the same fields and streets: shared out one by one, they would tell
    validation what training has seen. Of many sharings by chance the one is taken whose splits
    have the classes in the same shares.

    Attributes:
        val: share of the blocks for validation, 0 to 1.
        test: share of the blocks for the test.
        seed: fixes chance.

    Source: Roberts et al., Cross-validation strategies for data with temporal, spatial,
    hierarchical, or phylogenetic structure (2017), for blocks.
    """

    val: float = 0.2
    test: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        if not (0 < self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise InputError(
                f"the shares are {self.val} for validation and {self.test} for the test: give "
                "shares above 0 (the test may have 0) that leave something to train on"
            )

    def __call__(
        self, blocks: Sequence[Hashable], pixels: NDArray[np.int64]
    ) -> dict[Hashable, Split]:
        """Return the split of each block.

        Args:
            blocks: block of each of N chips.
            pixels: pixels (N, K) of each class in each chip.

        Raises:
            InputError: there are too few blocks to share out.
        """
        sums: defaultdict[Hashable, NDArray[np.int64]] = defaultdict(
            lambda: np.zeros(pixels.shape[1], np.int64)
        )
        for block, own in zip(blocks, pixels, strict=True):
            sums[block] += own
        numbers = self._numbers(len(sums))
        chance = random.Random(self.seed)
        tries = [self._shared(sorted(sums, key=repr), numbers, chance) for _ in range(_TRIES)]
        return min(tries, key=lambda one: _imbalance(one, sums))

    def _numbers(self, blocks: int) -> dict[Split, int]:
        val, test = max(1, round(self.val * blocks)), round(self.test * blocks)
        test = max(1, test) if self.test else 0
        if blocks - val - test < 1:
            raise InputError(
                f"{blocks} blocks of chips are too few to share out: give smaller chips, another "
                "scene, or areas with --split"
            )
        return {"val": val, "test": test, "train": blocks - val - test}

    def _shared(
        self, blocks: Sequence[Hashable], numbers: Mapping[Split, int], chance: random.Random
    ) -> dict[Hashable, Split]:
        order = chance.sample(blocks, len(blocks))
        splits: list[Split] = [split for split, number in numbers.items() for _ in range(number)]
        return dict(zip(order, splits, strict=True))


def _imbalance(
    shared: Mapping[Hashable, Split], sums: Mapping[Hashable, NDArray[np.int64]]
) -> float:
    """Return how far the shares of classes are from those of all, over all splits."""
    totals: defaultdict[Split, NDArray[np.float64]] = defaultdict(lambda: np.zeros(1))
    for block, split in shared.items():
        totals[split] = totals[split] + sums[block]
    every = _shares(sum(totals.values(), np.zeros(1)))
    return sum(float(np.abs(_shares(own) - every).sum()) for own in totals.values())


def _shares(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return pixels / max(1.0, float(pixels.sum()))
