import torch

from samdomain.losses import ambiguity_loss, dice_loss, focal_loss, sam_cost


def test_only_the_best_learns() -> None:
    """The loss is the least of the three, and the gradient of the two losers exactly 0."""
    target = (torch.rand(2, 4, 4) > 0.5).float()
    logits = torch.stack([4 * target - 2, 2 - 4 * target, 0 * target], dim=1).requires_grad_()
    costs = sam_cost(logits, target[:, None].expand(2, 3, 4, 4))
    loss = ambiguity_loss(logits, target, reduction="none")
    assert (loss[:, None] <= costs).all()
    assert torch.equal(loss, costs[:, 0])
    loss.sum().backward()
    assert logits.grad is not None
    assert (logits.grad[:, 1:] == 0).all()
    assert (logits.grad[:, 0] != 0).all()


def test_of_equals_one_learns() -> None:
    """Three equal masks do not share the gradient."""
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    ambiguity_loss(logits, torch.ones(1, 4, 4)).backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(dim=(0, 2, 3)).count_nonzero() == 1


def test_costs_are_20_focal_and_1_dice() -> None:
    """One alternative costs what SAM's weights say."""
    logits, target = torch.randn(2, 1, 4, 4), torch.rand(2, 4, 4).round()
    expected = 20 * focal_loss(logits[:, 0], target) + dice_loss(logits[:, 0], target)
    torch.testing.assert_close(ambiguity_loss(logits, target), expected)
