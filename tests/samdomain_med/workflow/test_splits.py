import pytest

pytest.importorskip("monai")

from samdomain_med.workflow.splits import find_split


def test_what_the_data_have_is_taken() -> None:
    """Where there is validation, nothing is taken from training."""
    there = {"train": "abcdefghij", "val": "v", "test": "t"}
    assert [find_split(there.__getitem__, one) for one in ("train", "val", "test")] == [
        "abcdefghij",
        "v",
        "t",
    ]


def test_validation_is_a_fifth_of_training_where_there_is_none() -> None:
    """The rest trains; a test is never taken from it."""
    there = {"train": "abcdefghij", "val": "", "test": ""}
    train, val = (find_split(there.__getitem__, one) for one in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    assert sorted([*train, *val]) == list("abcdefghij")
    assert find_split(there.__getitem__, "test") == ""
