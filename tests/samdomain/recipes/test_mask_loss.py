import pytest
import torch
from torch.nn import functional as F

from samdomain.losses import dice_loss, focal_loss
from samdomain.recipes import MaskLoss

LOGITS = torch.tensor([[[[2.0, -1.0], [0.5, 0.0]]], [[[-3.0, 1.0], [0.0, 4.0]]]])  # (2, 1, 2, 2)
TARGET = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])


def test_dice_and_focal_add_up() -> None:
    """By default it is Dice alone; the focal loss comes with its weight."""
    dice, focal = dice_loss(LOGITS[:, 0], TARGET), focal_loss(LOGITS[:, 0], TARGET)
    torch.testing.assert_close(MaskLoss()(LOGITS, TARGET), dice)
    torch.testing.assert_close(MaskLoss(focal=20.0)(LOGITS, TARGET), dice + 20 * focal)


def test_alternatives_count_alike() -> None:
    """Three alternatives cost the mean of what each costs alone."""
    three = torch.cat([LOGITS, LOGITS + 1, -LOGITS], dim=1)
    alone = [MaskLoss()(three[:, i : i + 1], TARGET) for i in range(3)]
    torch.testing.assert_close(MaskLoss()(three, TARGET), torch.stack(alone).mean())


def test_the_official_loss_of_samlp_is_a_softmax_of_two_channels() -> None:
    """Dice of softmax([1 - z, z]) over a whole batch, written out by hand."""
    loss = MaskLoss(smooth=1e-5, squared=True, background=True, pooled=True, slope=2.0, middle=0.5)
    z = LOGITS[:, 0]
    channels = F.softmax(torch.stack([1 - z, z]), dim=0)
    expected = torch.tensor(0.0)
    for p, y in zip(channels, (1 - TARGET, TARGET), strict=True):
        expected += 1 - (2 * (p * y).sum() + 1e-5) / (p.square().sum() + y.sum() + 1e-5)
    torch.testing.assert_close(loss(LOGITS, TARGET), expected)


@pytest.mark.parametrize("loss", [MaskLoss(), MaskLoss(focal=20.0, pooled=True, background=True)])
def test_no_prompts_cost_nothing_bad(loss: MaskLoss) -> None:
    """Without any prompt the loss is finite."""
    assert loss(torch.zeros(0, 1, 2, 2), torch.zeros(0, 2, 2)).isfinite()
