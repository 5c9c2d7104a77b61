import pytest

from samdomain.errors import InputError
from samdomain.recipes import few_shots

NAMES = [f"image {i}" for i in range(20)]


def test_a_seed_repeats_whatever_the_order() -> None:
    """A shuffled list of files gives the same shots; another seed gives others."""
    assert few_shots(NAMES, 5, seed=1) == few_shots(NAMES[::-1], 5, seed=1)
    assert few_shots(NAMES, 5, seed=1) != few_shots(NAMES, 5, seed=2)


def test_fewer_are_among_more() -> None:
    """Five shots are the first five of ten."""
    assert few_shots(NAMES, 10)[:5] == few_shots(NAMES, 5)


@pytest.mark.parametrize("number", [0, 21])
def test_numbers_that_cannot_be_are_refused(number: int) -> None:
    """The message says how many there are."""
    with pytest.raises(InputError, match=f"{number} of 20"):
        few_shots(NAMES, number)
