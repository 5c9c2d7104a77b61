import math

import numpy as np
import pytest

from samdomain_geo.evaluation.adjusted_area import adjust_area, number
from samdomain_geo.evaluation.confusion import ConfusionMatrix

# The worked example of Olofsson et al. 2014, table 8: rows are the map's classes (deforestation,
# forest gain, stable forest, stable non-forest), columns the reference's; mapped pixels of 30 m.
SAMPLE = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
MAPPED = [200_000.0, 150_000.0, 3_200_000.0, 6_450_000.0]
HECTARES = sum(MAPPED) * 0.09


def by_loops() -> dict[str, list[float]]:
    """Work the estimators out term by term, without arrays, in areas rather than shares."""
    weights = [pixels / sum(MAPPED) for pixels in MAPPED]
    sizes = [sum(row) for row in SAMPLE]
    q = range(4)
    p = [[weights[i] * SAMPLE[i][j] / sizes[i] for j in q] for i in q]
    shares = [sum(p[i][j] for i in q) for j in q]
    users = [p[i][i] / weights[i] for i in q]
    producers = [p[j][j] / shares[j] for j in q]
    spread = [users[i] * (1 - users[i]) / (sizes[i] - 1) for i in q]
    share_errors = [
        math.sqrt(sum((weights[i] * p[i][j] - p[i][j] ** 2) / (sizes[i] - 1) for i in q)) for j in q
    ]
    producers_errors = []
    for j in q:
        own = MAPPED[j] ** 2 * (1 - producers[j]) ** 2 * spread[j]
        others = 0.0
        for i in q:
            if i != j:
                part = SAMPLE[i][j] / sizes[i]
                others += MAPPED[i] ** 2 * part * (1 - part) / (sizes[i] - 1)
        whole = sum(MAPPED[i] / sizes[i] * SAMPLE[i][j] for i in q)
        producers_errors.append(math.sqrt((own + producers[j] ** 2 * others) / whole**2))
    return {
        "overall": [sum(p[i][i] for i in q)],
        "overall_error": [math.sqrt(sum(weights[i] ** 2 * spread[i] for i in q))],
        "users": users,
        "users_error": [math.sqrt(one) for one in spread],
        "producers": producers,
        "producers_error": producers_errors,
        "shares": shares,
        "shares_error": share_errors,
    }


def matrix(rows: list[list[int]]) -> ConfusionMatrix:
    """Return a matrix from a table whose rows are the map's classes."""
    return ConfusionMatrix(tuple(range(len(rows))), np.array(rows).T)


def test_a_published_example_is_met() -> None:
    """The figures are those that the paper prints, and those of a computation term by term."""
    found = adjust_area(matrix(SAMPLE), np.array(MAPPED))
    assert found.shares.value * HECTARES == pytest.approx([21158, 11686, 285770, 581386], abs=1)
    assert found.shares.margin * HECTARES == pytest.approx([6158, 3756, 15510, 16282], abs=1)
    assert found.users.value == pytest.approx([0.88, 0.73, 0.93, 0.96], abs=0.005)
    assert found.users.margin == pytest.approx([0.07, 0.10, 0.04, 0.02], abs=0.005)
    assert found.producers.value == pytest.approx([0.75, 0.85, 0.93, 0.96], abs=0.005)
    assert found.producers.margin == pytest.approx([0.21, 0.25, 0.03, 0.02], abs=0.005)
    assert float(found.overall.value) == pytest.approx(0.95, abs=0.005)
    assert float(found.overall.margin) == pytest.approx(0.02, abs=0.005)
    for name, expected in by_loops().items():
        estimate = getattr(found, name.removesuffix("_error"))
        values = estimate.error if name.endswith("_error") else estimate.value
        assert np.atleast_1d(values) == pytest.approx(expected)


def test_the_estimates_center_on_the_truth() -> None:
    """Over many stratified samples of a known map, areas are right and errors true to size."""
    rng = np.random.default_rng(0)
    truly = np.array([[0.9, 0.1], [0.05, 0.95]])  # of each map class, which is truly which
    mapped = np.array([0.2, 0.8])
    shares, errors = [], []
    for _ in range(600):
        counts = [rng.multinomial(100, row) for row in truly]
        found = adjust_area(matrix([list(row) for row in counts]), mapped)
        shares.append(found.shares.value[0])
        errors.append(found.shares.error[0])
    assert np.mean(shares) == pytest.approx(0.2 * 0.9 + 0.8 * 0.05, abs=0.003)
    assert np.mean(errors) == pytest.approx(np.std(shares), rel=0.1)


def test_a_whole_map_gives_the_truth_back() -> None:
    """Where all pixels are compared, the adjusted shares are the truth's own."""
    table = [[60, 20], [5, 15]]
    found = adjust_area(matrix(table), np.array([80.0, 20.0]))
    assert found.shares.value == pytest.approx([0.65, 0.35])
    assert float(found.overall.value) == pytest.approx(0.75)
    assert found.producers.value == pytest.approx([60 / 65, 15 / 35])


def test_a_class_without_a_sample_is_left_out() -> None:
    """Its share of the map is told, and the rest is estimated as if it were all."""
    found = adjust_area(matrix([[9, 1, 0], [1, 9, 0], [0, 0, 0]]), np.array([30.0, 50.0, 20.0]))
    assert found.unsampled == pytest.approx(0.2)
    assert found.shares.value.sum() == pytest.approx(1)
    assert np.isnan(found.users.value[2])
    assert np.isfinite(found.overall.error)


def test_a_class_that_the_map_lacks_takes_no_part() -> None:
    """A true class that is never mapped has a share, no user's accuracy, and finite errors."""
    found = adjust_area(matrix([[8, 2], [0, 0]]), np.array([100.0, 0.0]))
    assert found.unsampled == 0
    assert found.shares.value == pytest.approx([0.8, 0.2])
    assert found.producers.value == pytest.approx([1, 0])
    assert np.isnan(found.users.value[1])
    assert np.isfinite(found.shares.error).all()


def test_one_pixel_tells_no_error() -> None:
    """A class with one compared pixel has an estimate, and an unknown error."""
    found = adjust_area(matrix([[1, 0], [3, 7]]), np.array([10.0, 90.0]))
    assert np.isfinite(found.overall.value)
    assert np.isnan(found.overall.error)
    assert number(float(found.overall.error)) is None
