"""Chips in which things have the size that they had in training."""

import pytest

from samdomain.adapter_file import AdapterCard
from samdomain.errors import InputError
from samdomain_geo.classes.class_network import chips_for

CARD = AdapterCard(chip_size=256, pixel_size=0.5)


@pytest.mark.parametrize(("pixel", "side"), [(0.5, 256), (0.6, 256), (0.25, 512), (1.0, 128)])
def test_chips_cover_as_much_ground_as_in_training(pixel: float, side: int) -> None:
    """Pixels that differ by up to a quarter are taken one to one."""
    assert chips_for(CARD, 64, pixel).size == side


def test_where_a_pixel_s_size_is_unknown_chips_are_those_of_training() -> None:
    """Also small ones; without any it is the model's input."""
    assert chips_for(CARD, 64, None).size == 256
    assert chips_for(AdapterCard(chip_size=24), 64, None).size == 24
    assert chips_for(AdapterCard(), 64, 0.5).size == 64


def test_a_scene_that_is_too_coarse_is_refused() -> None:
    """Both sizes are told."""
    with pytest.raises(InputError, match=r"pixels are 5 m, but the adapter was trained on 0.5 m"):
        chips_for(CARD, 64, 5.0)
