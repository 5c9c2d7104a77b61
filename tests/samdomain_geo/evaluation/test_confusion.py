import numpy as np
import pytest

from samdomain.errors import InputError
from samdomain_geo.evaluation.confusion import ConfusionMatrix, Tally, count_values

# Rows are the truth, columns the map: by hand.
HAND = ConfusionMatrix((1, 2, 5), np.array([[50, 10, 0], [5, 30, 0], [0, 5, 0]]))


def test_figures_are_those_by_hand() -> None:
    """IoU, F1, precision and recall follow from the table."""
    assert HAND.total == 100
    assert HAND.overall_accuracy == 0.8
    assert HAND.iou == pytest.approx([50 / 65, 30 / 50, 0])
    assert HAND.f1 == pytest.approx([100 / 115, 60 / 80, 0])
    assert HAND.precision[:2] == pytest.approx([50 / 55, 30 / 45])
    assert HAND.recall == pytest.approx([50 / 60, 30 / 35, 0])


def test_what_cannot_be_told_is_nan() -> None:
    """A class that is never predicted has no precision; one that no side has, nothing."""
    assert np.isnan(HAND.precision[2])
    nowhere = Tally()
    nowhere.add(np.array([1]), np.array([1]))
    matrix = nowhere.matrix([7])
    assert matrix.classes == (1, 7)
    assert np.isnan([matrix.iou[1], matrix.f1[1], matrix.recall[1]]).all()


def test_a_perfect_map_scores_one() -> None:
    """Where both sides are the same, all figures are 1."""
    labels = np.random.default_rng(0).integers(0, 9, 1000)
    tally = Tally()
    tally.add(labels, labels)
    matrix = tally.matrix()
    assert matrix.overall_accuracy == 1
    for figures in (matrix.iou, matrix.f1, matrix.precision, matrix.recall):
        assert (figures == 1).all()


@pytest.mark.parametrize("offset", [0, -3, 2**40])
@pytest.mark.parametrize("spread", [1, 100_000])
def test_pairs_are_counted_in_any_range(offset: int, spread: int) -> None:
    """Counts equal those of a plain loop for small, negative, huge and distant classes."""
    rng = np.random.default_rng(1)
    true, predicted = rng.integers(0, 4, (2, 500)) * spread + offset
    tally = Tally()
    for part in (slice(0, 100), slice(100, 100), slice(100, 500)):
        tally.add(true[part], predicted[part])
    matrix = tally.matrix()
    for row, column in np.ndindex(matrix.pixels.shape):
        one, other = matrix.classes[row], matrix.classes[column]
        expected = sum(t == one and p == other for t, p in zip(true, predicted, strict=True))
        assert matrix.pixels[row, column] == expected


def test_new_names_permute_the_matrix() -> None:
    """Classes that are numbered anew on both sides change the order and nothing else."""
    true, predicted = np.random.default_rng(2).integers(0, 3, (2, 400))
    new = np.array([2, 0, 1])
    first, second = Tally(), Tally()
    first.add(true, predicted)
    second.add(new[true], new[predicted])
    assert (second.matrix().pixels[np.ix_(new, new)] == first.matrix().pixels).all()
    assert (second.matrix().iou[new] == first.matrix().iou).all()


def test_sides_that_are_swapped_transpose_the_matrix() -> None:
    """What was precision becomes recall; IoU stays."""
    true, predicted = np.random.default_rng(3).integers(0, 3, (2, 400))
    first, second = Tally(), Tally()
    first.add(true, predicted)
    second.add(predicted, true)
    assert (second.matrix().pixels == first.matrix().pixels.T).all()
    assert (second.matrix().precision == first.matrix().recall).all()
    assert (second.matrix().iou == first.matrix().iou).all()


def test_ids_are_refused() -> None:
    """More classes than anybody can read are ids of objects."""
    with pytest.raises(InputError, match="ids of objects"):
        Tally().add(np.arange(1001), np.arange(1001))


def test_values_are_counted() -> None:
    """Counts of values equal NumPy's, near one another and far apart."""
    for labels in (np.array([3, 3, -1]), np.array([0, 2**50, 0]), np.zeros(0, np.int64)):
        values, counts = np.unique(labels, return_counts=True)
        assert count_values(labels) == dict(zip(values.tolist(), counts.tolist(), strict=True))
