import numpy as np

from samdomain_geo.results.colours import BACKGROUND, GROUND, colour_of, colour_of_class


def test_numbers_that_follow_one_another_differ_much() -> None:
    """Colours of consecutive numbers are far apart, and none of a hundred comes twice."""
    colours = np.array([colour_of(number) for number in range(1, 101)])
    assert np.linalg.norm(np.diff(colours, axis=0), axis=1).min() > 80
    assert len(np.unique(colours, axis=0)) == 100
    assert colour_of(7) == colour_of(7)


def test_a_background_is_grey() -> None:
    """Whatever its number; other classes have the colour of theirs."""
    assert colour_of_class(0, BACKGROUND) == GROUND
    assert colour_of_class(3, "roof") == colour_of(3)
