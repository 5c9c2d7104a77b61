"""Which sample is for training, and which for validation or the test."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from samdomain.errors import InputError
from samdomain.training.sample import SPLIT_NAMES, Split

Item = TypeVar("Item")

COLUMN = "split"


def read_splits(path: Path) -> dict[str, str]:
    """Read a list of files with the split of each.

    It is a CSV with a column `split`; the column before it, or else the first, names the file: by
    its path, its name, or its name without the ending.

    Returns:
        dict: splits by file, as they stand in the list.

    Raises:
        InputError: the list has no column `split`, or names a file twice.
    """
    with path.open(
        newline="", encoding="utf-8-sig"
    ) as file:  # spreadsheets write a byte order mark
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    if COLUMN not in names or len(names) < 2:  # noqa: PLR2004 - a file and its split
        raise InputError(f"{path} has columns {names}: it needs one with files and one 'split'")
    key = next((name for name in ("file", "image", "name", "id") if name in names), names[0])
    splits: dict[str, str] = {}
    for row in rows:
        if row[key] in splits:
            raise InputError(f"{path} names {row[key]!r} twice: leave one")
        splits[row[key]] = row[COLUMN]
    return splits


def chosen(path: Path, root: Path, splits: dict[str, str], split: Split) -> bool:
    """Tell whether a list of files puts a file below a folder into a split."""
    relative = path.relative_to(root)
    keys = (str(relative), str(relative.with_suffix("")), path.name, path.stem)
    found = next((splits[key] for key in keys if key in splits), None)
    return found in SPLIT_NAMES[split]


def shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """Return items in an order that a seed fixes."""
    generator = torch.Generator().manual_seed(seed)
    return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]


def parted(items: Sequence[Item], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Part items into those for training and those for validation, each in its old order.

    Args:
        items: two at least.
        share: share of the items that validation gets, between 0 and 1; one item at least.
        seed: fixes which.

    Returns:
        tuple: items for training, items for validation.

    Raises:
        InputError: there is only one item, or the share is outside its range.
    """
    if not 0 < share < 1:
        raise InputError(f"the share for validation is {share}: allowed is between 0 and 1")
    if len(items) < 2:  # noqa: PLR2004 - one for each side
        raise InputError(
            f"{len(items)} image is too little to take validation from: give a folder for it"
        )
    number = min(max(1, round(share * len(items))), len(items) - 1)
    held = set(shuffled(range(len(items)), seed)[:number])
    return (
        [one for i, one in enumerate(items) if i not in held],
        [one for i, one in enumerate(items) if i in held],
    )
