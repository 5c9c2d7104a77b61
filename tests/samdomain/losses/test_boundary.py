import torch

from samdomain.losses import boundary_loss, soft_boundary


def halves(size: int = 16) -> torch.Tensor:
    """Certain logits of two classes, left and right."""
    left = torch.full((1, 1, size, size), -50.0)
    left[..., : size // 2] = 50
    return torch.cat([left, -left], dim=1)


def line(size: int = 16) -> torch.Tensor:
    """The two columns on either side of the edge between the halves."""
    boundary = torch.zeros(1, size, size)
    boundary[..., size // 2 - 1 : size // 2 + 1] = 1
    return boundary


def test_an_edge_is_two_pixels_wide() -> None:
    """A hard edge is 1 on either side, and 0 elsewhere."""
    assert torch.equal(soft_boundary(halves().softmax(dim=1)), line())


def test_edges_in_place_cost_nothing() -> None:
    """A prediction whose edge is the boundary costs 0, within the rounding of the quotients."""
    assert abs(boundary_loss(halves(), line()).item()) < 1e-6


def test_a_flat_prediction_costs_everything() -> None:
    """Without an edge there is no match: 1."""
    flat = torch.zeros(1, 2, 16, 16)
    assert abs(boundary_loss(flat, line()).item() - 1) < 1e-6


def test_stays_between_0_and_1() -> None:
    """Random predictions against random boundaries keep the bounds."""
    logits, boundary = 5 * torch.randn(50, 4, 9, 9), (torch.rand(50, 9, 9) > 0.8).float()
    losses = boundary_loss(logits, boundary, reduction="none")
    assert ((losses >= 0) & (losses <= 1)).all()


def test_names_of_classes_do_not_matter() -> None:
    """Permuted classes cost the same."""
    logits, boundary = torch.randn(2, 4, 9, 9), (torch.rand(2, 9, 9) > 0.8).float()
    renamed = boundary_loss(logits[:, [2, 0, 3, 1]], boundary)
    torch.testing.assert_close(renamed, boundary_loss(logits, boundary))


def test_mirrored_images_cost_the_same() -> None:
    """Flips of prediction and boundary together change nothing."""
    logits, boundary = torch.randn(2, 3, 9, 9), (torch.rand(2, 9, 9) > 0.8).float()
    mirrored = boundary_loss(logits.flip(-1), boundary.flip(-1))
    torch.testing.assert_close(mirrored, boundary_loss(logits, boundary))


def test_the_edge_learns() -> None:
    """The gradient is not 0: the official code has none."""
    logits = torch.randn(1, 3, 9, 9, requires_grad=True)
    boundary_loss(logits, (torch.rand(1, 9, 9) > 0.8).float()).backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_one_channel_is_object_against_rest() -> None:
    """Logits z of one channel cost what the classes [0, z] cost."""
    z, boundary = torch.randn(2, 1, 9, 9), (torch.rand(2, 9, 9) > 0.8).float()
    both = torch.cat([torch.zeros_like(z), z], dim=1)
    torch.testing.assert_close(boundary_loss(z, boundary), boundary_loss(both, boundary))


def test_tolerance_is_a_distance_in_pixels() -> None:
    """An edge shifted by 2 pixels matches within 2, and not within 0."""
    shifted = line().roll(2, dims=-1)
    assert boundary_loss(halves(), shifted).item() < 1e-6
    assert boundary_loss(halves(), shifted, tolerance_px=0).item() > 0.99


def test_an_image_without_boundary_says_nothing() -> None:
    """Its loss is 0, whatever is predicted."""
    assert boundary_loss(torch.randn(1, 3, 9, 9), torch.zeros(1, 9, 9)) == 0
