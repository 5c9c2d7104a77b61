import pytest
import torch

from samdomain.metrics import class_averaged, dice_score, iou_score, pooled_dice, pooled_iou

PREDICTED = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 1]]]).bool()
TRUE = torch.tensor([[[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]).bool()


def test_each_mask_has_its_score() -> None:
    """One of 2 and 2 pixels in common, both empty, one empty."""
    assert dice_score(PREDICTED, TRUE).tolist() == [0.5, 1, 0]
    assert iou_score(PREDICTED, TRUE).tolist() == [pytest.approx(1 / 3), 1, 0]


def test_pooling_counts_pixels() -> None:
    """All pixels together: 1 in common of 3 and 2."""
    assert pooled_dice(PREDICTED, TRUE).item() == pytest.approx(2 / 5)
    assert pooled_iou(PREDICTED, TRUE).item() == pytest.approx(1 / 4)


def test_nothing_at_all_agrees() -> None:
    """Pooled masks without a pixel have 1."""
    nothing = torch.zeros(2, 3, 3, dtype=torch.bool)
    assert pooled_dice(nothing, nothing) == 1


def test_class_averages_count_the_rest_as_well() -> None:
    """The rest of the image has 12 - 4 in common of 12 - 1."""
    expected = (1 / 4 + 8 / 11) / 2
    assert class_averaged(pooled_iou, PREDICTED, TRUE).item() == pytest.approx(expected)


def test_logits_are_refused(unchecked: None) -> None:
    """Whoever forgets the threshold is told of it."""
    with pytest.raises(ValueError, match="logits > 0"):
        dice_score(torch.randn(1, 2, 2), TRUE[:1])
