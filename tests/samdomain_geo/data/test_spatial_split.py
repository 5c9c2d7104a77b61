import numpy as np
import pytest

from samdomain.errors import InputError
from samdomain_geo.data.spatial_split import BlockSplit


def test_shares_are_those_asked_for() -> None:
    """Of ten blocks two go to validation and three to the test."""
    splits = BlockSplit(val=0.2, test=0.3)(range(10), np.ones((10, 2), np.int64))
    numbers = {one: list(splits.values()).count(one) for one in ("train", "val", "test")}
    assert numbers == {"train": 5, "val": 2, "test": 3}


def test_classes_are_shared_alike() -> None:
    """Half of eight blocks have water: so has one of the two in validation."""
    pixels = np.array([[100, 0], [50, 50]] * 4)
    splits = BlockSplit(val=0.25)(range(8), pixels)
    assert [splits[i] for i in range(1, 8, 2)].count("val") == 1


def test_chips_of_a_block_count_together() -> None:
    """A block may be anything that can be compared."""
    blocks = [(0, 1), (0, 1), (1, 1), (2, 5)]
    splits = BlockSplit(val=0.3)(blocks, np.ones((4, 1), np.int64))
    assert splits.keys() == set(blocks)


def test_one_block_cannot_be_shared() -> None:
    """The message says what helps."""
    with pytest.raises(InputError, match="give smaller chips"):
        BlockSplit()(["a"], np.ones((1, 1), np.int64))
