import math

import numpy as np
import pytest
import shapely

from samdomain_geo.evaluation.boundaries import BoundaryScores, compare_boundaries


def squares(*corners: tuple[float, float]) -> np.ndarray:
    return np.array([shapely.box(x, y, x + 10, y + 10) for x, y in corners], object)


def test_the_same_boundaries_agree() -> None:
    """All of a boundary is near itself, holes and parts included."""
    ring = shapely.Point(0, 0).buffer(10, 64) - shapely.Point(0, 0).buffer(4)
    pair = shapely.MultiPolygon([*squares((20, 0), (40, 0))])
    scores = compare_boundaries(np.array([ring, pair]), np.array([ring, pair]), 0.1)
    assert scores.f1 == pytest.approx(1)
    assert scores.predicted == pytest.approx(ring.length + pair.length)


def test_a_shifted_square_is_measured_by_hand() -> None:
    """Shifted by 1 with a tolerance of 1/2, half of the boundary is near.

    Of the upper and the lower side 9 m lie on the truth and half a metre around its corner; of
    the side that lies inside, half a metre at each end.
    """
    scores = compare_boundaries(squares((1, 0)), squares((0, 0)), 0.5)
    assert scores.precision == pytest.approx(20 / 40, rel=1e-3)
    assert scores.recall == pytest.approx(20 / 40, rel=1e-3)


def test_the_tolerance_decides() -> None:
    """What is farther away than the tolerance is wrong, and what is nearer right."""
    within, beyond = (compare_boundaries(squares((3, 0)), squares((0, 0)), t) for t in (3.1, 0.01))
    assert within.f1 == pytest.approx(1)
    assert beyond.f1 == pytest.approx(14 / 40, abs=0.01)


def test_missed_and_invented_boundaries_count() -> None:
    """A second object on one side halves the share of that side only."""
    scores = compare_boundaries(squares((0, 0)), squares((0, 0), (100, 0)), 1)
    assert (scores.precision, scores.recall) == pytest.approx((1, 0.5))
    assert scores.f1 == pytest.approx(2 / 3)


def test_no_boundary_cannot_be_judged() -> None:
    """A side without polygons has no share."""
    scores = compare_boundaries(squares(), squares((0, 0)), 1)
    assert math.isnan(scores.precision)
    assert scores.recall == 0
    assert math.isnan(scores.f1)


def test_far_apart_is_no_agreement() -> None:
    """Boundaries that are nowhere near have an F1 of 0."""
    assert compare_boundaries(squares((0, 0)), squares((50, 0)), 1).f1 == 0


@pytest.mark.parametrize("corners", [3, 32, 33, 34, 64, 65, 500])
def test_long_boundaries_are_whole(corners: int) -> None:
    """However many corners a polygon has, its length is its own, and near is as in one piece."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    wave = 50 + 5 * np.sin(9 * angle)
    star = shapely.Polygon(np.stack([wave * np.cos(angle), wave * np.sin(angle)], axis=1))
    circle = shapely.Point(0, 0).buffer(50, 100)
    scores = compare_boundaries(np.array([star]), np.array([circle]), 2.0)
    assert scores.predicted == pytest.approx(star.length)
    near = star.exterior.intersection(circle.exterior.buffer(2.0, quad_segs=16)).length
    assert scores.predicted_near == pytest.approx(near, rel=1e-3)


def test_scores_add_up() -> None:
    """The scores of two classes are those of their lengths together."""
    total = BoundaryScores(10, 5, 10, 10) + BoundaryScores(30, 25, 10, 5)
    assert (total.precision, total.recall) == (0.75, 0.75)
