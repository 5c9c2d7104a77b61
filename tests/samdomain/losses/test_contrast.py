import math

import pytest
import torch

from samdomain.losses import instance_contrast_loss, instance_features


def one_image(number: int) -> torch.Tensor:
    return torch.zeros(number, dtype=torch.long)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_simplex_features_reach_the_bound(number: int) -> None:
    """The best that n instances can do is log(1 + (n-1) e^(-(1 + 1/(n-1)) / tau))."""
    corners = torch.eye(number) - 1 / number
    loss = instance_contrast_loss(corners, corners, one_image(number)).item()
    bound = math.log(1 + (number - 1) * math.exp(-(1 + 1 / (number - 1)) / 0.3))
    assert loss == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_no_features_are_below_the_bound(number: int) -> None:
    """Of n instances, whatever they look like, at least log(1 + (n-1) e^(-2 / tau)) is left."""
    bound = math.log(1 + (number - 1) * math.exp(-2 / 0.3))
    for _ in range(20):
        features, anchor = torch.randn(number, 4), torch.randn(number, 4)
        assert instance_contrast_loss(features, anchor, one_image(number)).item() >= bound
    opposite = torch.tensor([[1.0, 0], [-1, 0]])
    least = instance_contrast_loss(opposite, opposite, one_image(2)).item()
    assert least == pytest.approx(math.log(1 + math.exp(-2 / 0.3)), rel=1e-3)


def test_one_instance_costs_nothing() -> None:
    """There is nothing to tell it from."""
    assert instance_contrast_loss(torch.randn(1, 8), torch.randn(1, 8), one_image(1)) == 0


def test_order_does_not_matter() -> None:
    """A common permutation of instances changes nothing; the loss is not below 0."""
    features, anchor, order = torch.randn(4, 8), torch.randn(4, 8), torch.tensor([2, 0, 3, 1])
    loss = instance_contrast_loss(features, anchor, one_image(4))
    assert loss >= 0
    shuffled = instance_contrast_loss(features[order], anchor[order], one_image(4))
    torch.testing.assert_close(shuffled, loss)


def test_images_are_apart() -> None:
    """Instances of other images are no negatives."""
    features, anchor = torch.randn(5, 8), torch.randn(5, 8)
    images = torch.tensor([3, 1, 3, 1, 3])
    each = instance_contrast_loss(features, anchor, images, reduction="none")
    alone = [
        instance_contrast_loss(features[images == i], anchor[images == i], images[images == i])
        for i in (1, 3)
    ]
    torch.testing.assert_close(each, torch.stack(alone))


def test_instances_without_a_cell_are_left_out() -> None:
    """An empty mask has features of 0, and costs and moves nothing."""
    embedding = torch.randn(1, 8, 4, 4)
    masks = torch.ones(3, 16, 16)
    masks[1, :, 8:] = -1
    masks[2] = -1
    features = instance_features(embedding, masks, one_image(3))
    assert (features[2] == 0).all()
    features.requires_grad_()
    anchor = torch.randn(3, 8)
    loss = instance_contrast_loss(features, anchor, one_image(3))
    torch.testing.assert_close(loss, instance_contrast_loss(features[:2], anchor[:2], one_image(2)))
    loss.backward()
    assert features.grad is not None
    assert (features.grad[2] == 0).all()


def test_features_are_the_mean_direction_inside() -> None:
    """Cells outside the mask and lengths of cells do not count."""
    embedding = torch.zeros(2, 2, 1, 2)
    embedding[1, :, 0, 0] = torch.tensor([3.0, 4])
    embedding[1, :, 0, 1] = torch.tensor([9.0, 0])
    mask = torch.tensor([[[5.0, -5.0], [5.0, -5.0]]])
    embedding = embedding.repeat(1, 1, 2, 1)
    features = instance_features(embedding, mask, torch.tensor([1]))
    torch.testing.assert_close(features, torch.tensor([[0.6, 0.8]]))


def test_autocast_costs_no_digits() -> None:
    """Within a step in bf16, features and the loss are those of single precision."""
    embedding, masks = torch.randn(1, 8, 16, 16), torch.randn(3, 16, 16)

    def loss() -> torch.Tensor:
        features = instance_features(embedding, masks, one_image(3))
        return instance_contrast_loss(features, features, one_image(3))

    with torch.autocast("cpu", torch.bfloat16):
        half = loss()
    assert torch.equal(half, loss())
