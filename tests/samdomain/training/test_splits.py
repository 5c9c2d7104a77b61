from pathlib import Path

import pytest

from samdomain.errors import InputError
from samdomain.training.splits import parted, read_splits, shuffled


def test_a_share_goes_to_validation() -> None:
    """The sides have all items between them, in their old order, the same each time."""
    train, val = parted(range(10), 0.2, seed=0)
    assert (len(train), len(val)) == (8, 2)
    assert sorted(train + val) == list(range(10))
    assert train == sorted(train)
    assert parted(range(10), 0.2, seed=0) == (train, val)


@pytest.mark.parametrize(("share", "number"), [(0.01, 1), (0.99, 2)])
def test_each_side_gets_one_at_least(share: float, number: int) -> None:
    """Neither side is ever empty."""
    assert len(parted(range(3), share, seed=0)[1]) == number


def test_what_cannot_be_parted_is_refused() -> None:
    """One item, or a share of nothing, is an error."""
    with pytest.raises(InputError, match="1 image"):
        parted([1], 0.5, seed=0)
    with pytest.raises(InputError, match="between 0 and 1"):
        parted([1, 2], 1.0, seed=0)


def test_a_seed_fixes_the_order() -> None:
    """Another seed has another order of the same items."""
    assert shuffled(range(9), 1) == shuffled(range(9), 1)
    assert shuffled(range(9), 1) != shuffled(range(9), 2)


def test_a_list_of_files_is_read(tmp_path: Path) -> None:
    """The column of files is known by its name, or is the first."""
    path = tmp_path / "splits.csv"
    path.write_text("class,file,split\nbenign,1.png,train\nnormal,2.png,val\n")
    assert read_splits(path) == {"1.png": "train", "2.png": "val"}
    path.write_text("tile,split\na.tif,test\n")
    assert read_splits(path) == {"a.tif": "test"}


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "file,split\n1,train\n1,val\n"])
def test_a_wrong_list_is_named(tmp_path: Path, text: str) -> None:
    """A list without splits, or with a file twice, is an error."""
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"splits\.csv"):
        read_splits(path)
