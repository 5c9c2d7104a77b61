import math

import numpy as np
import pytest

pytest.importorskip("monai")

from samdomain_med.case_figures import compare, summarise


def square(left: int, side: int = 10) -> np.ndarray:
    mask = np.zeros((40, 40), np.uint8)
    mask[10 : 10 + side, left : left + side] = 1
    return mask


def test_figures_by_hand() -> None:
    """Two squares of 10 that overlap by 8 columns: Dice 0.8, IoU 2/3, outlines 2 apart."""
    found = compare(square(10), square(12), ["polyp"])
    assert found["dice"] == pytest.approx(0.8)
    assert found["iou"] == pytest.approx(80 / 120)
    assert found["hd95"] == pytest.approx(2.0)
    assert found["boundary_f1"] == pytest.approx(1.0)  # within the tolerance of 2


def test_distances_are_in_millimetres() -> None:
    """A pixel of 0.5 mm halves them."""
    found = compare(square(10), square(14), ["polyp"], (0.5, 0.5))
    assert found["hd95"] == pytest.approx(2.0)


def test_volumes_and_classes_are_measured_apart() -> None:
    """A class is named behind each figure; one that is in neither is right."""
    volume = np.stack([square(10)] * 5, axis=2)
    found = compare(volume, volume, ["anterior", "posterior"], (1.0, 1.0, 2.0))
    assert found["dice anterior"] == found["boundary_f1 anterior"] == 1
    assert found["hd95 anterior"] == 0
    assert (found["dice posterior"], found["hd95 posterior"]) == (1, 0)


def test_a_class_of_one_side_alone_is_wrong() -> None:
    """Its distance is infinite, and left out of means."""
    found = compare(square(10), np.zeros((40, 40), np.uint8), ["polyp"])
    assert (found["dice"], found["boundary_f1"]) == (0, 0)
    assert math.isinf(found["hd95"])
    told = summarise([found, compare(square(10), square(12), ["polyp"])])
    assert (told["hd95"].mean, told["hd95"].cases, told["hd95"].left_out) == (2.0, 1, 1)
    assert told["dice"].mean == pytest.approx(0.4)


def test_the_interval_holds_the_mean() -> None:
    """It is the same each time, and narrower for more cases."""
    chance = np.random.default_rng(0)
    few, many = (
        summarise([{"dice": float(one)} for one in chance.uniform(0.5, 1, count)])["dice"]
        for count in (10, 200)
    )
    for one in (few, many):
        assert one.low < one.mean < one.high
    assert many.high - many.low < few.high - few.low
    alike = summarise([{"dice": 0.5}] * 4)["dice"]
    assert (alike.low, alike.high) == (0.5, 0.5)
