import itertools

import numpy as np
import pytest
import shapely

from samdomain_geo.evaluation.object_matches import (
    Overlaps,
    average_precision,
    find_overlaps,
    match,
)


def bars(*ends: tuple[float, float]) -> np.ndarray:
    """Return bars of height 1 between two places."""
    return np.array([shapely.box(left, 0, right, 1) for left, right in ends], object)


def random_bars(rng: np.random.Generator, count: int) -> np.ndarray:
    left = rng.uniform(0, 12, count)
    return bars(*zip(left, left + rng.uniform(1, 4, count), strict=True))


def iou_table(overlaps: Overlaps) -> np.ndarray:
    table = np.zeros(overlaps.shape)
    table[overlaps.predicted, overlaps.true] = overlaps.iou
    return table


def test_overlaps_are_those_by_hand() -> None:
    """Pairs that share area are found with their IoU; those that only touch are not."""
    found = find_overlaps(bars((0, 4), (4, 6)), bars((0, 2), (3, 6), (6, 9)))
    assert iou_table(found) == pytest.approx(np.array([[1 / 2, 1 / 6, 0], [0, 2 / 3, 0]]))
    assert len(found.iou) == 3


def test_nothing_overlaps_nothing() -> None:
    """An empty side has no pairs, no matches, and no precision without truth."""
    none = bars()
    for ours, theirs in ((none, bars((0, 1))), (bars((0, 1)), none), (none, none)):
        overlaps = find_overlaps(ours, theirs)
        assert len(match(overlaps, 0.5)[0]) == 0
        ap = average_precision(overlaps, np.ones(len(ours)), len(theirs), 0.5)
        assert ap == 0 if len(theirs) else np.isnan(ap)


def test_as_many_match_as_can() -> None:
    """A prediction takes its second choice where a greedy one would leave another alone."""
    # The first overlaps both, best the second; the second prediction only has the second.
    ours, theirs = bars((0, 10), (3, 10)), bars((0, 6), (2, 10))
    overlaps = find_overlaps(ours, theirs)
    predicted, true = match(overlaps, 0.5)
    assert sorted(zip(predicted.tolist(), true.tolist(), strict=True)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("seed", range(8))
def test_matches_are_the_best_of_all(seed: int) -> None:
    """No assignment of a few overlapping polygons, all tried, has more matches or more IoU."""
    rng = np.random.default_rng(seed)
    overlaps = find_overlaps(random_bars(rng, 5), random_bars(rng, 5))
    table = iou_table(overlaps)
    predicted, true = match(overlaps, 0.2)
    assert len(set(predicted.tolist())) == len(set(true.tolist())) == len(predicted)
    assert (table[predicted, true] >= 0.2).all()
    best = max(
        (sum(ious >= 0.2), sum(ious[ious >= 0.2]))
        for order in itertools.permutations(range(5))
        for ious in [table[range(5), list(order)]]
    )
    assert (len(predicted), table[predicted, true].sum()) == pytest.approx(best)


def test_average_precision_is_that_by_hand() -> None:
    """Right, wrong, right of two true ones: precision 1 up to half of the recall, then 2/3."""
    ours, theirs = bars((0, 4), (20, 24), (10, 14)), bars((0, 4), (10, 14))
    overlaps = find_overlaps(ours, theirs)
    ap = average_precision(overlaps, np.array([0.9, 0.8, 0.7]), 2, 0.5)
    assert ap == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    # The wrong one last does no harm; the wrong one first does more.
    assert average_precision(overlaps, np.array([0.9, 0.1, 0.7]), 2, 0.5) == pytest.approx(1)
    first = average_precision(overlaps, np.array([0.8, 0.9, 0.7]), 2, 0.5)
    assert first == pytest.approx(2 / 3)


def test_a_second_prediction_of_an_object_is_wrong() -> None:
    """Of two predictions of one object the one with the higher score counts, however it fits."""
    ours, theirs = bars((0, 4), (0, 5)), bars((0, 5))
    overlaps = find_overlaps(ours, theirs)
    assert average_precision(overlaps, np.array([0.9, 0.8]), 1, 0.5) == pytest.approx(1)
    assert average_precision(overlaps, np.array([0.9, 0.8]), 1, 0.9) == pytest.approx(1 / 2)


def by_loops(table: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    """Work out COCO's average precision step by step, as its paper says it."""
    free = set(range(table.shape[1]))
    points = []
    found = 0
    for rank, one in enumerate(np.argsort(-scores, kind="stable"), start=1):
        fitting = [true for true in free if table[one, true] >= threshold]
        if fitting:
            free.remove(max(fitting, key=lambda true: table[one, true]))
            found += 1
        points.append((found / table.shape[1], found / rank))
    levels = np.linspace(0, 1, 101)
    return float(np.mean([max([p for r, p in points if r >= at], default=0) for at in levels]))


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_cocos(seed: int) -> None:
    """Any scores and overlaps give what a plain computation gives, at each threshold."""
    rng = np.random.default_rng(seed)
    overlaps = find_overlaps(random_bars(rng, 12), random_bars(rng, 7))
    scores = rng.random(12)
    for threshold in (0.3, 0.5, 0.75):
        expected = by_loops(iou_table(overlaps), scores, threshold)
        assert average_precision(overlaps, scores, 7, threshold) == pytest.approx(expected)


def test_polygons_that_take_no_part_have_no_say() -> None:
    """A prediction whose score is NaN is of another class."""
    overlaps = find_overlaps(bars((0, 4), (20, 24)), bars((0, 4)))
    assert average_precision(overlaps, np.array([0.5, np.nan]), 1, 0.5) == pytest.approx(1)
