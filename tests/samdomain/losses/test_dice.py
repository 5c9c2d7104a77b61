import pytest
import torch

from samdomain.losses import dice_loss

HALF = torch.zeros(1, 2, 2)  # probability 0.5 everywhere
ONE = torch.tensor([[[1, 0], [0, 0]]])


@pytest.mark.parametrize(
    ("smooth", "squared", "expected"),
    [
        (1.0, False, 1 - (2 * 0.5 + 1) / (2 + 1 + 1)),
        (1.0, True, 1 - (2 * 0.5 + 1) / (4 * 0.25 + 1 + 1)),
        (1e-5, False, 1 - 1 / 3),
        (1e-5, True, 1 - 1 / 2),
    ],
)
def test_equals_a_hand_count(smooth: float, squared: bool, expected: float) -> None:
    """One object pixel of four, each with probability a half."""
    loss = dice_loss(HALF, ONE, smooth=smooth, squared=squared)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_empty_masks_predicted_empty_cost_nothing() -> None:
    """Certain emptiness agrees with an empty mask."""
    assert dice_loss(torch.full((1, 4, 4), -100.0), torch.zeros(1, 4, 4)) == 0


def test_flattening_pools_the_batch() -> None:
    """A batch flattened to one mask has one loss, that of all its pixels."""
    logits, target = torch.randn(3, 4, 4), (torch.rand(3, 4, 4) > 0.5).float()
    pooled = dice_loss(logits.flatten(0, -2), target.flatten(0, -2))
    p = logits.sigmoid()
    torch.testing.assert_close(pooled, 1 - (2 * (p * target).sum() + 1) / (p + target).sum().add(1))


def test_samlp_is_a_sum_of_two() -> None:
    """The docstring's form of SamLP's two-channel softmax equals the softmax."""
    z, y = torch.randn(2, 4, 4), (torch.rand(2, 4, 4) > 0.5).float()
    channels = torch.stack([1 - z, z]).softmax(dim=0)
    expected = sum(
        1 - (2 * (p * t).sum() + 1e-5) / ((p * p).sum() + (t * t).sum() + 1e-5)
        for p, t in zip(channels, (1 - y, y), strict=True)
    )
    z, y = z.flatten(0, -2), y.flatten(0, -2)
    ours = dice_loss(2 * z - 1, y, squared=True, smooth=1e-5)
    ours = ours + dice_loss(1 - 2 * z, 1 - y, squared=True, smooth=1e-5)
    torch.testing.assert_close(ours, torch.as_tensor(expected))


def test_no_smoothing_is_refused() -> None:
    """An empty mask would have no value."""
    with pytest.raises(ValueError, match="above 0"):
        dice_loss(HALF, ONE, smooth=0.0)
