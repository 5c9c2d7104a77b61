import numpy as np
import pytest

from samdomain.errors import InputError
from samdomain_geo.changes.meaning import Changed, Transitions, read_meaning
from samdomain_geo.classes.probability import PROBABILITY

# One row of three pixels: surely a to a, surely a to b, no data.
LEVELS = np.array([[[254, 254, 255]], [[0, 0, 255]], [[254, 0, 255]], [[0, 254, 255]]], np.uint8)


def layer(name: str, levels: np.ndarray = LEVELS) -> list[int]:
    found = Transitions(("a", "b")).rasters[name].of(0, {PROBABILITY: levels})
    assert found is not None
    return found[0, 0].tolist()


def test_maps_tell_from_and_to() -> None:
    """0 where nothing changed, 1 + 2 x from + to where it did, 255 without data."""
    assert layer("mask.tif") == [0, 2, 255]
    assert layer("classes_before.tif") == [0, 0, 255]
    assert layer("classes_after.tif") == [0, 1, 255]
    names = {kind.value: kind.name for kind in Transitions(("a", "b")).kinds if kind.value}
    assert names == {2: "a to b", 3: "b to a"}


def test_a_change_is_as_probable_as_that_the_classes_differ() -> None:
    """Certain dates give 0 and 1; 0.75 and 0.5 of class a give 1 - (0.375 + 0.125) = 0.5."""
    assert layer("probability.tif") == [0, 254, 255]
    mixed = np.array([[[190]], [[64]], [[127]], [[127]]], np.uint8)
    assert layer("probability.tif", mixed) == [127]


def test_blocks_without_data_have_no_pixels() -> None:
    """Every layer says so."""
    for meaning in (Changed(), Transitions(("a", "b"))):
        assert all(one.of(0, {}) is None for one in meaning.rasters.values())


def test_pairs_of_many_classes_do_not_fit_into_a_byte() -> None:
    """Fifteen do: the highest value is below 255."""
    most = Transitions(tuple(map(str, range(15))))
    assert max(kind.value for kind in most.kinds) < 255
    with pytest.raises(InputError, match="16 classes"):
        Transitions(tuple(map(str, range(16))))


def test_a_meaning_goes_through_json() -> None:
    """It comes back as it was."""
    for meaning in (Changed(), Transitions(("a", "b"))):
        assert read_meaning(meaning.told()) == meaning
