import numpy as np

from samdomain_geo.colours import colour_of


def test_numbers_that_follow_one_another_differ_much() -> None:
    """Colours of consecutive numbers are far apart, and none of a hundred comes twice."""
    colours = np.array([colour_of(number) for number in range(1, 101)])
    assert np.linalg.norm(np.diff(colours, axis=0), axis=1).min() > 80
    assert len(np.unique(colours, axis=0)) == 100
    assert colour_of(7) == colour_of(7)
