"""What all losses have in common: gradients, finite values, reductions, modules."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from samdomain import losses

Loss = Callable[..., Tensor]

OBJECTS = torch.tensor([[[0, 0, 1, 1], [2, 2, 1, 1], [2, 2, 0, 7], [0, 0, 0, 0]]]).repeat(2, 1, 1)
LINE = (OBJECTS == 1).float()
UNCHANGED = torch.zeros(2, 4, 4)
SETS = [torch.stack([LINE[0], 1 - LINE[0]]), LINE[:1]]
IMAGES = torch.tensor([0, 0, 1, 1])

# The loss as a function of its first argument, that argument's shape, its module.
CASES: dict[str, tuple[Loss, tuple[int, ...], nn.Module, tuple]] = {
    "focal": (losses.focal_loss, (2, 4, 4), losses.FocalLoss(), (LINE,)),
    "dice": (losses.dice_loss, (2, 4, 4), losses.DiceLoss(), (LINE,)),
    "ambiguity": (losses.ambiguity_loss, (2, 3, 4, 4), losses.AmbiguityLoss(), (LINE,)),
    "iou": (
        losses.iou_loss,
        (2,),
        losses.IoULoss(),
        (torch.linspace(-1, 1, 32).reshape(2, 4, 4), LINE),
    ),
    "boundary": (losses.boundary_loss, (2, 3, 4, 4), losses.BoundaryLoss(), (LINE,)),
    "boundary of one class": (losses.boundary_loss, (2, 1, 4, 4), losses.BoundaryLoss(), (LINE,)),
    "objects": (losses.object_loss, (2, 3, 4, 4), losses.ObjectLoss(), (OBJECTS,)),
    "temporal": (
        losses.temporal_loss,
        (2, 3, 4, 4),
        losses.TemporalLoss(),
        (torch.linspace(-1, 2, 96).reshape(2, 3, 4, 4), UNCHANGED),
    ),
    "self-distillation": (
        losses.self_distillation_loss,
        (2, 4, 4),
        losses.SelfDistillationLoss(),
        (torch.linspace(-3, 3, 32).reshape(2, 4, 4),),
    ),
    "contrast": (
        losses.instance_contrast_loss,
        (4, 5),
        losses.InstanceContrastLoss(),
        (torch.linspace(-1, 1, 20).reshape(4, 5), IMAGES),
    ),
    "cosine": (
        losses.cosine_loss,
        (2, 5),
        losses.CosineLoss(),
        (torch.linspace(-1, 1, 10).reshape(2, 5),),
    ),
    "rehearsal": (
        losses.rehearsal_loss,
        (2, 4, 4),
        losses.RehearsalLoss(),
        (torch.linspace(-3, 3, 32).reshape(2, 4, 4),),
    ),
    "anchor": (
        losses.anchor_loss,
        (2, 4, 4),
        losses.AnchorLoss(),
        (torch.linspace(-3, 3, 32).reshape(2, 4, 4),),
    ),
    "many to many": (losses.many_to_many_loss, (2, 3, 4, 4), losses.ManyToManyLoss(), (SETS,)),
}
every_loss = pytest.mark.parametrize("name", CASES)


def double(value: object) -> object:
    """Floats in double precision, whatever else as it is."""
    if isinstance(value, list):
        return [double(one) for one in value]
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


@every_loss
def test_gradients_are_those_of_the_value(name: str) -> None:
    """The derivative equals finite differences in double precision."""
    loss, shape, _, rest = CASES[name]
    logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    others = [double(value) for value in rest]
    assert torch.autograd.gradcheck(lambda x: loss(x, *others), (logits,))


@every_loss
@pytest.mark.parametrize("size", [0.0, 100.0, -100.0, 1e4, -1e4])
def test_extreme_logits_stay_finite(name: str, size: float) -> None:
    """Values and gradients are finite at 0 and at logits that no sigmoid tells from 0 or 1."""
    loss, shape, _, rest = CASES[name]
    logits = torch.full(shape, size, requires_grad=True)
    value = loss(logits, *rest)
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@every_loss
def test_empty_masks_stay_finite(name: str) -> None:
    """Values and gradients are finite where nothing is in the targets."""
    loss, shape, _, rest = CASES[name]
    logits = torch.randn(shape, requires_grad=True)

    def emptied(value: object) -> object:
        if isinstance(value, list):
            return [one[:0] for one in value]
        return torch.zeros_like(value) if isinstance(value, Tensor) else value

    value = loss(logits, *(emptied(one) for one in rest))
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@every_loss
def test_reductions_agree(name: str) -> None:
    """The sum and the mean are those of the losses of the items."""
    loss, shape, _, rest = CASES[name]
    logits = torch.randn(shape)
    each = loss(logits, *rest, reduction="none")
    assert each.ndim > 0
    torch.testing.assert_close(loss(logits, *rest, reduction="sum"), each.sum())
    torch.testing.assert_close(loss(logits, *rest), each.mean())


@every_loss
def test_modules_are_their_functions(name: str) -> None:
    """A module with default settings computes what its function does by default."""
    loss, shape, module, rest = CASES[name]
    logits = torch.randn(shape)
    assert torch.equal(module(logits, *rest), loss(logits, *rest))
    assert not list(module.parameters())


@every_loss
def test_half_precision_costs_no_digits(name: str) -> None:
    """Logits in bfloat16 give what the same values give in single precision."""
    loss, shape, _, rest = CASES[name]
    if name == "iou":
        pytest.skip("its first argument is an estimate, not a map")
    logits = torch.randn(shape).bfloat16()
    torch.testing.assert_close(loss(logits, *rest), loss(logits.float(), *rest))


def test_no_item_costs_nothing() -> None:
    """The mean over an empty batch is 0, not NaN."""
    assert losses.dice_loss(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4)) == 0


def test_unknown_reductions_are_refused(unchecked: None) -> None:
    """The error names the reductions that there are."""
    with pytest.raises(ValueError, match="'mean', 'sum', 'none'"):
        losses.dice_loss(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), reduction="avg")


def test_names_are_sorted() -> None:
    """The room lists its names in order."""
    assert all(a < b for a, b in pairwise(losses.__all__))
