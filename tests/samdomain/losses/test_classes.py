import math

import pytest
import torch
from torch.nn import functional as F

from samdomain.losses import ClassLoss, LabelLoss, class_loss, label_loss


def one_hot(classes: torch.Tensor, number: int) -> torch.Tensor:
    """Planes of the classes; 255 is in none."""
    return torch.stack([(classes == k).float() for k in range(number)], dim=1)


def test_hard_labels_cost_what_torch_says() -> None:
    """With whole cells, a weight a class and an ignored value it is torch's cross-entropy."""
    logits = torch.randn(1, 3, 5, 4)
    classes = torch.randint(3, (1, 5, 4))
    classes[0, 0, :2] = 255
    weights = torch.tensor([1.0, 0.5, 2.0])
    expected = F.cross_entropy(logits, classes, weights, ignore_index=255)
    torch.testing.assert_close(class_loss(logits, one_hot(classes, 3), weights), expected)


def test_shares_cost_their_mean() -> None:
    """A cell that is half of each of two classes costs the mean of both: by hand, log 2."""
    logits, shares = torch.zeros(1, 2, 1, 1), torch.full((1, 2, 1, 1), 0.5)
    assert class_loss(logits, shares).item() == pytest.approx(math.log(2))


def test_labels_cost_what_torch_says() -> None:
    """Where all was looked at it is the binary cross-entropy."""
    logits, target = torch.randn(2, 3, 5, 4), torch.rand(2, 3, 5, 4)
    expected = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(label_loss(logits, target, torch.ones(2, 1, 5, 4)), expected)


def test_what_nobody_labelled_costs_nothing() -> None:
    """Logits there have no gradient, in either loss."""
    logits = torch.randn(1, 2, 2, 2, requires_grad=True)
    shares = torch.zeros(1, 2, 2, 2)
    shares[0, 1, 0] = 1
    labelled = shares.sum(1, keepdim=True)
    for loss in (class_loss(logits, shares), label_loss(logits, shares, labelled)):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient[0, :, 0].abs().sum() > 0
        assert not gradient[0, :, 1].any()


def test_an_image_without_labels_costs_nothing() -> None:
    """The loss is 0, and can be derived."""
    logits = torch.randn(1, 2, 2, 2, requires_grad=True)
    nothing = torch.zeros(1, 2, 2, 2)
    for loss in (class_loss(logits, nothing), label_loss(logits, nothing, nothing[:, :1])):
        assert loss.item() == 0
        loss.backward()
        assert logits.grad is not None
        assert not logits.grad.any()


def test_extreme_logits_stay_finite() -> None:
    """So do their gradients, in half precision too."""
    for dtype in (torch.float32, torch.bfloat16):
        logits = torch.tensor([1e4, -1e4], dtype=dtype).reshape(1, 2, 1, 1).requires_grad_()
        shares = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1)
        for loss in (class_loss(logits, shares), label_loss(logits, shares, shares[:, 1:])):
            assert loss.isfinite()
            assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_gradients_are_right() -> None:
    """As finite differences say, in double precision."""
    logits = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    shares = torch.rand(2, 3, 2, 2, dtype=torch.float64).softmax(dim=1)
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    known = torch.ones(2, 1, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: class_loss(z, shares, weights), logits)
    assert torch.autograd.gradcheck(lambda z: label_loss(z, shares, known, weights), logits)


def test_each_image_counts_alike() -> None:
    """The mean is over images, and the modules hold the settings."""
    logits, classes = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    shares = one_hot(classes, 3)
    each = ClassLoss(reduction="none")(logits, shares)
    assert each.shape == (2,)
    torch.testing.assert_close(class_loss(logits, shares), each.mean())
    labelled = torch.ones(2, 1, 4, 4)
    labels = LabelLoss(torch.tensor([1.0, 1, 3]), "sum")(logits, shares, labelled)
    each = [
        F.binary_cross_entropy_with_logits(
            logits[i], shares[i], torch.tensor([1.0, 1, 3])[:, None, None], reduction="sum"
        )
        / (16 * 5)
        for i in range(2)
    ]
    torch.testing.assert_close(labels, torch.stack(each).sum())
