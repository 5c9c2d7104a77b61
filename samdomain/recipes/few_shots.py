"""Choose the few examples of a few-shot training."""

import random
from collections.abc import Iterable

from samdomain.errors import InputError


def few_shots(names: Iterable[str], number: int, seed: int = 0) -> tuple[str, ...]:
    """Choose names by chance, the same for a seed in whatever order they come.

    Fewer shots of a seed are among its more, so that a curve over their number compares like
    with like.

    Args:
        names: names of the examples, all different.
        number: how many to choose.
        seed: seed of the choice.

    Raises:
        InputError: fewer examples are there than asked for, or fewer than 1 is asked for.
    """
    ordered = sorted(names)
    if not 1 <= number <= len(ordered):
        raise InputError(f"{number} of {len(ordered)} examples were asked for: give 1 or more")
    random.Random(seed).shuffle(ordered)
    return tuple(ordered[:number])
