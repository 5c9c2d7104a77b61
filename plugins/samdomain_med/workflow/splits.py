"""Validation for data that has none of its own."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from samdomain.training.sample import Split
from samdomain.training.splits import parted

Item = TypeVar("Item")

_VAL_SHARE = 0.2  # as `samdomain fit` has it


def find_split(find: Callable[[Split], Sequence[Item]], split: Split) -> Sequence[Item]:
    """Return the items of a split; validation is a fifth of training where there is none.

    Args:
        find: finds what the data itself has for a split.
        split: train, val or test.
    """
    found = find(split)
    if split == "test" or (found if split == "val" else find("val")):
        return found
    train, val = parted(find("train"), _VAL_SHARE, seed=0)
    return val if split == "val" else train
