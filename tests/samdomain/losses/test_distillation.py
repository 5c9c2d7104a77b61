import torch

from samdomain.losses import anchor_loss, cosine_loss, dice_loss, rehearsal_loss


def test_features_equal_up_to_a_factor_cost_nothing() -> None:
    """A positive factor does not matter, a negative one costs 2, a right angle 1."""
    teacher = torch.tensor([[3.0, 4.0]])
    for student, expected in (([6.0, 8.0], 0), ([-3.0, -4.0], 2), ([4.0, -3.0], 1)):
        assert abs(cosine_loss(torch.tensor([student]), teacher).item() - expected) < 1e-6


def test_teachers_of_features_learn_nothing() -> None:
    """The gradient reaches the student only."""
    student, teacher = torch.randn(2, 5, requires_grad=True), torch.randn(2, 5, requires_grad=True)
    cosine_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_a_model_that_did_not_move_costs_nothing() -> None:
    """Equal logits cost 0 and push nothing."""
    student = torch.randn(2, 6, 6, requires_grad=True)
    loss = rehearsal_loss(student, student.detach().clone())
    loss.backward()
    assert loss.abs() < 1e-6
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


def test_moving_away_costs() -> None:
    """The further the logits move, the more they cost."""
    teacher = torch.randn(2, 6, 6)
    near, far = (rehearsal_loss(teacher + step, teacher) for step in (0.1, 1.0))
    assert 0 < near < far


def test_anchors_are_hard_masks() -> None:
    """The anchor is where its logits are above 0; sure agreement costs nothing."""
    anchor = torch.randn(2, 6, 6)
    logits = torch.randn(2, 6, 6)
    assert anchor_loss(logits, anchor) == dice_loss(logits, (anchor > 0).float())
    assert anchor_loss(100 * anchor.sign(), anchor) < 1e-6
