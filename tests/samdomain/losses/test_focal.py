import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from samdomain.losses import focal_loss


def test_equals_a_hand_count() -> None:
    """At logit 0 a pixel costs alpha_t / 4 ln 2; one object pixel of four, alpha a quarter."""
    target = torch.tensor([[[1, 0], [0, 0]]])
    expected = (0.25 + 3 * 0.75) / 4 * 0.25 * math.log(2)
    assert focal_loss(torch.zeros(1, 2, 2), target).item() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [0.25, 0.8])
def test_equals_torchvision(gamma: float, alpha: float) -> None:
    """Hard and soft targets cost what torchvision computes."""
    logits = 3 * torch.randn(2, 5, 5)
    for target in (torch.rand(2, 5, 5), (torch.rand(2, 5, 5) > 0.5).float()):
        expected = sigmoid_focal_loss(logits, target, alpha, gamma, reduction="mean")
        torch.testing.assert_close(focal_loss(logits, target, alpha=alpha, gamma=gamma), expected)


def test_gamma_0_without_alpha_is_cross_entropy() -> None:
    """No fading and no weights leave the plain cross-entropy."""
    logits, target = torch.randn(2, 5, 5), torch.rand(2, 5, 5)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(focal_loss(logits, target, alpha=None, gamma=0.0), expected)


def test_number_of_masks_is_no_weight() -> None:
    """Repeating the masks of a batch changes nothing: alpha is a constant."""
    logits, target = torch.randn(1, 5, 5), torch.rand(1, 5, 5)
    one = focal_loss(logits, target)
    torch.testing.assert_close(focal_loss(logits.repeat(7, 1, 1), target.repeat(7, 1, 1)), one)


def test_small_gamma_has_finite_gradients_at_certainty() -> None:
    """A power below 1 of nothing has no derivative; the loss has."""
    logits = torch.full((1, 2, 2), 200.0, requires_grad=True)
    focal_loss(logits, torch.ones(1, 2, 2), gamma=0.5).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
