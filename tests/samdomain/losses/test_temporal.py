import torch

from samdomain.losses import temporal_loss


def test_equals_a_hand_count() -> None:
    """Certain and different classes cost 1 a pixel; half of the pixels changed."""
    before = torch.tensor([[[[900.0, 900.0]], [[0.0, 0.0]]]])
    changed = torch.tensor([[[1, 0]]])
    assert temporal_loss(before, before.flip(1), changed).item() == 0.5


def test_equals_torch() -> None:
    """It is torch's cosine embedding loss, with margin 0 and targets 1 and 0."""
    before, after = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    changed = torch.rand(2, 4, 4) > 0.5
    flat = [(x / 3).softmax(dim=1).movedim(1, -1).reshape(-1, 8) for x in (before, after)]
    cosine = torch.nn.functional.cosine_similarity(*flat)
    expected = ((1 - cosine) * ~changed.reshape(-1)).mean()
    torch.testing.assert_close(temporal_loss(before, after, changed), expected)


def test_equal_dates_cost_nothing() -> None:
    """Equal latents cost exactly 0, also with a constant added to all classes of a pixel."""
    latents = torch.randn(2, 8, 4, 4)
    nothing = torch.zeros(2, 4, 4)
    assert temporal_loss(latents, latents, nothing) == 0
    assert temporal_loss(latents, latents + torch.randn(2, 1, 4, 4), nothing) < 1e-9


def test_dates_are_alike() -> None:
    """Swapping the dates changes nothing."""
    before, after = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    nothing = torch.zeros(2, 4, 4)
    assert temporal_loss(before, after, nothing) == temporal_loss(after, before, nothing)


def test_changed_pixels_say_nothing() -> None:
    """They have no value and no gradient; all changed costs 0."""
    before, after = torch.randn(1, 8, 2, 2, requires_grad=True), torch.randn(1, 8, 2, 2)
    changed = torch.tensor([[[1, 0], [0, 0]]])
    temporal_loss(before, after, changed).backward()
    assert before.grad is not None
    assert (before.grad[0, :, 0, 0] == 0).all()
    assert (before.grad[0, :, 1, 1] != 0).all()
    assert temporal_loss(before, after, torch.ones(1, 2, 2)) == 0


def test_heat_melts_the_loss() -> None:
    """The temperature scales the loss towards 0."""
    before, after = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    nothing = torch.zeros(2, 4, 4)
    losses = [temporal_loss(before, after, nothing, temperature=t) for t in (1.0, 3.0, 100.0)]
    assert losses[0] > losses[1] > losses[2] > 0
    assert losses[2] < 1e-3
