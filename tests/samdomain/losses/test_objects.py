import torch

from samdomain.losses import object_loss

OBJECTS = torch.tensor([[[1, 1, 0], [2, 2, 2]]])


def test_equals_a_hand_count() -> None:
    """Two pixels at 0 and 2: (2/3)^2 * (1 + 1) / 6 pixels; the even object adds nothing."""
    logits = torch.tensor([[[[0.0, 2, 9], [5, 5, 5]]]])
    torch.testing.assert_close(object_loss(logits, OBJECTS).item(), (2 / 3) ** 2 * 2 / 6)


def test_equals_a_loop_over_objects() -> None:
    """A batch costs what the formula gives object by object, ids of images kept apart."""
    logits, objects = torch.randn(3, 4, 6, 6), torch.randint(0, 5, (3, 6, 6))
    expected = torch.zeros(3)
    for image in range(3):
        for number in range(1, 5):
            inside = objects[image] == number
            n = inside.sum()
            if n:
                values = logits[image][:, inside]
                spread = (values - values.mean(dim=1, keepdim=True)).square().sum()
                expected[image] += (n / (n + 1)) ** 2 * spread / (4 * 36)
    torch.testing.assert_close(object_loss(logits, objects, reduction="none"), expected)


def test_even_objects_cost_nothing() -> None:
    """A constant for each object costs 0, and adding one changes nothing."""
    level = torch.randn(3)[OBJECTS][:, None]
    level[0, 0, 0, 2] = 7.0  # no object
    assert object_loss(level, OBJECTS) < 1e-12
    logits = torch.randn(1, 1, 2, 3)
    shifted = object_loss(logits + level, OBJECTS)
    torch.testing.assert_close(shifted, object_loss(logits, OBJECTS))


def test_ids_are_names() -> None:
    """Other ids for the same objects, large ones and beyond 50, cost the same."""
    logits = torch.randn(1, 2, 2, 3)
    renamed = torch.tensor([0, 70_000, 3])[OBJECTS]
    torch.testing.assert_close(object_loss(logits, renamed), object_loss(logits, OBJECTS))


def test_pixels_of_no_object_learn_nothing() -> None:
    """Where the id is 0 or below the gradient is 0."""
    logits = torch.randn(1, 2, 2, 3, requires_grad=True)
    object_loss(logits, OBJECTS - 1).backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 0] == 0).all()
    assert (logits.grad[0, :, 1] != 0).any()
