import math

import pytest
import torch

from samdomain.losses import self_distillation_loss


def test_equals_a_hand_count() -> None:
    """KL of a half from three quarters: the teacher's p comes first."""
    student, teacher = torch.zeros(1, 1, 1), torch.full((1, 1, 1), math.log(3))
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert self_distillation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_equal_answers_cost_nothing() -> None:
    """KL(y, y) is exactly 0, and never below."""
    logits = 100 * torch.randn(4, 8, 8)
    assert (self_distillation_loss(logits, logits, reduction="none") == 0).all()
    near = logits + 1e-6 * torch.randn(4, 8, 8)
    assert (self_distillation_loss(near, logits, reduction="none") >= 0).all()


def test_the_teacher_learns_nothing() -> None:
    """Only the student gets a gradient, p_student - p_teacher over the number of pixels."""
    student = torch.randn(1, 2, 2, requires_grad=True)
    teacher = torch.randn(1, 2, 2, requires_grad=True)
    self_distillation_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    torch.testing.assert_close(student.grad, (student - 0).sigmoid().sub(teacher.sigmoid()) / 4)


def test_opposite_certainty_costs_the_distance() -> None:
    """A sure student against a sure teacher costs its logit."""
    student, teacher = torch.full((1, 1, 1), -100.0), torch.full((1, 1, 1), 100.0)
    assert self_distillation_loss(student, teacher).item() == pytest.approx(100)


def test_temperature_keeps_the_size_of_gradients() -> None:
    """Both logits are divided by it, and the loss multiplied by its square."""
    student, teacher = torch.randn(1, 2, 2), torch.randn(1, 2, 2)
    warm = self_distillation_loss(student, teacher, temperature=2.0)
    torch.testing.assert_close(warm, 4 * self_distillation_loss(student / 2, teacher / 2))
