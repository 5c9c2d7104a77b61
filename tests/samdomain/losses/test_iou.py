import pytest
import torch

from samdomain.losses import iou_loss, mask_iou, soft_dice


def test_masks_begin_above_0() -> None:
    """Logits of 0.1 are inside although below 0.5, and 0 is outside."""
    logits = torch.tensor([[[0.1, 0.1], [0.0, -1.0]]])
    assert mask_iou(logits, torch.tensor([[[1, 0], [1, 0]]])).item() == pytest.approx(1 / 3)


def test_empty_masks_agree() -> None:
    """Two empty masks have an IoU of 1, one empty mask of 0."""
    nothing, something = -torch.ones(2, 3, 3), torch.zeros(2, 3, 3)
    something[1, 0, 0] = 1
    assert mask_iou(nothing, something).tolist() == [1, 0]


def test_equals_a_hand_count() -> None:
    """An estimate of 0.5 for a perfect mask costs a quarter."""
    logits = torch.tensor([[[1.0, -1.0]]])
    assert iou_loss(torch.tensor([0.5]), logits, logits > 0).item() == 0.25


def test_masks_learn_nothing_from_their_estimate() -> None:
    """The gradient reaches all estimates and no logit."""
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    estimate = torch.full((2, 3), 2.0, requires_grad=True)
    iou_loss(estimate, logits, torch.ones(2, 3, 4, 4), quality=soft_dice).backward()
    assert logits.grad is None
    assert estimate.grad is not None
    assert (estimate.grad != 0).all()


def test_soft_dice_sees_doubt() -> None:
    """Probability a half on one true pixel: (2 * 0.5 + 1) / (0.5 + 1 + 1)."""
    assert abs(soft_dice(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)).item() - 0.8) < 1e-6
