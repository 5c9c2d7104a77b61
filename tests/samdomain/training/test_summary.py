import pytest

from samdomain.training.summary import over_seeds, told


def test_mean_and_spread_over_seeds() -> None:
    """The spread is the standard deviation of a sample."""
    rows = over_seeds({0: {"dice": 0.8}, 1: {"dice": 0.9}, 2: {"dice": 0.7}})
    (row,) = rows
    assert (row["mean"], row["spread"]) == pytest.approx((0.8, 0.1))
    assert [row[f"seed {seed}"] for seed in range(3)] == [0.8, 0.9, 0.7]
    assert told(rows) == {"dice": "0.8000 ± 0.1000"}


def test_one_seed_has_no_spread() -> None:
    """Its spread is empty."""
    assert told(over_seeds({0: {"dice": 0.5}})) == {"dice": "0.5000"}
