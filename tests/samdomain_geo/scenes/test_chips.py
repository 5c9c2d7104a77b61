import numpy as np
import pytest
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo.scenes.chips import Blend, Chips


def test_chips_lie_on_one_grid() -> None:
    """A window's chips are those of the whole scene that count in it; the last one ends with it."""
    chips = Chips(size=100, overlap=20, margin=5)
    whole = list(chips.over(Window(0, 0, 250, 100), 100, 250))
    assert [chip.col_off for chip in whole] == [0, 80, 150]
    assert chips.count(100, 250) == 3
    # The first chip counts up to column 95, the second from 85 on.
    for left, width, starts in ((0, 85, [0]), (0, 86, [0, 80]), (94, 1, [0, 80]), (95, 1, [80])):
        found = chips.over(Window(left, 0, width, 100), 100, 250)
        assert [chip.col_off for chip in found] == starts


def test_a_small_scene_is_one_chip() -> None:
    """A scene below the chip's size is seen whole, with full weight to its edges."""
    chips = Chips(size=100, overlap=20, margin=5)
    (chip,) = chips.over(Window(10, 10, 5, 5), 60, 70)
    assert (chip.height, chip.width) == (60, 70)
    assert (chips.weights(chip, 60, 70) == 1).all()


def test_weights_of_neighbours_make_one() -> None:
    """On a regular grid the weights add up to 1 everywhere, and are 0 on the margins."""
    chips = Chips(size=64, overlap=16, margin=3)
    total = np.zeros((64, 160))
    for chip in chips.over(Window(0, 0, 160, 64), 64, 160):
        weights = chips.weights(chip, 64, 160)
        total[:, chip.col_off : chip.col_off + 64] += weights
        if chip.col_off > 0:
            assert (weights[:, :3] == 0).all()
            assert (weights[:, 3] > 0).all()
    assert total == pytest.approx(1)


def test_a_constant_stays_constant() -> None:
    """Blending what all chips agree on changes nothing, also where chips overlap unevenly."""
    chips = Chips(size=50, overlap=11, margin=2)
    window = Window(30, 40, 60, 55)
    blend = Blend(window, 2)
    for chip in chips.over(window, 123, 141):
        blend.add(chip, np.full((2, 50, 50), 0.25, np.float32), chips.weights(chip, 123, 141))
    assert blend.mean() == pytest.approx(0.25, abs=1e-7)


@pytest.mark.parametrize(
    "wrong", [(100, 51, 0, 1), (100, 20, 10, 1), (100, 20, -1, 1), (100, 20, 0, 0)]
)
def test_grids_that_leave_gaps_are_refused(wrong: tuple[int, int, int, int]) -> None:
    """Overlap is at most half a chip, and more than two margins."""
    with pytest.raises(InputError):
        Chips(*wrong)
