import math

import torch

from samdomain.metrics import boundary_f1, hausdorff95


def square(left: int, side: int = 8) -> torch.Tensor:
    mask = torch.zeros(1, 20, 20, dtype=torch.bool)
    mask[0, 4 : 4 + side, left : left + side] = True
    return mask


NOTHING = torch.zeros(1, 20, 20, dtype=torch.bool)


def test_equal_masks_are_perfect() -> None:
    """F1 is 1 without any tolerance, and the distance 0."""
    assert boundary_f1(square(4), square(4), tolerance_px=0.0) == 1
    assert hausdorff95(square(4), square(4)) == 0


def test_a_shift_within_the_tolerance_matches() -> None:
    """A square shifted by 2 matches within 2; within 1.5 its vertical sides do not."""
    assert boundary_f1(square(4), square(6)) == 1
    missed = boundary_f1(square(4), square(6), tolerance_px=1.5)
    assert 0 < missed < 1


def test_equals_a_hand_count() -> None:
    """Shifted by 3, without tolerance: 10 of 28 pixels of each outline are common."""
    score = boundary_f1(square(4), square(7), tolerance_px=0.0)
    torch.testing.assert_close(score, torch.tensor([10 / 28]))


def test_distances_are_those_of_the_shift() -> None:
    """HD95 of a square shifted by 3 is 3, or 3 columns of 0.5 mm."""
    assert hausdorff95(square(4), square(7)) == 3
    assert hausdorff95(square(4), square(7), spacing=(1.0, 0.5)) == 1.5


def test_the_larger_direction_counts() -> None:
    """A far second object in one of the masks counts whichever mask holds it."""
    both = square(2, 4) | square(14, 4)
    there, back = hausdorff95(square(2, 4), both), hausdorff95(both, square(2, 4))
    assert there == back > 5


def test_empty_masks() -> None:
    """Both empty agree; one empty has F1 0 and an infinite distance."""
    assert boundary_f1(NOTHING, NOTHING) == 1
    assert boundary_f1(NOTHING, square(4)) == boundary_f1(square(4), NOTHING) == 0
    assert hausdorff95(NOTHING, NOTHING) == 0
    assert hausdorff95(NOTHING, square(4)).item() == math.inf


def test_far_outlines_have_an_f1_of_0() -> None:
    """No match on either side is 0, not NaN."""
    assert boundary_f1(square(0, 2), square(15, 2)) == 0


def test_masks_are_measured_one_by_one() -> None:
    """A batch has one score a mask."""
    masks, others = torch.cat([square(4), square(4)]), torch.cat([square(4), square(7)])
    assert hausdorff95(masks, others).tolist() == [0, 3]
