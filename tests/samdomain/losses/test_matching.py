from itertools import permutations

import pytest
import torch

from samdomain.losses import (
    ambiguity_loss,
    many_to_many_loss,
    many_to_many_matching,
    masks_under,
    sam_cost,
    semantic_sam_cost,
)


def masks(number: int, size: int = 6) -> torch.Tensor:
    return (torch.rand(number, size, size) > 0.5).float()


def test_every_mask_under_a_click_contains_it() -> None:
    """A click finds exactly the masks that hold its pixel; x is the column."""
    objects = masks(8)
    points = torch.tensor([[2.5, 4.5], [0.0, 5.99]])
    found = masks_under(points, objects)
    assert torch.equal(found[0], objects[objects[:, 4, 2] > 0])
    assert torch.equal(found[1], objects[objects[:, 5, 0] > 0])


def test_clicks_outside_are_refused() -> None:
    """The far edge is outside already."""
    with pytest.raises(ValueError, match="outside"):
        masks_under(torch.tensor([[6.0, 0.0]]), masks(2))


def test_predictions_of_the_truth_find_it() -> None:
    """Each true mask is matched with its own sure prediction."""
    true = masks(3)
    logits = (20 * true - 10)[[2, 0, 1]][None]
    (pairs,) = many_to_many_matching(logits, [true])
    assert dict(zip(*(side.tolist() for side in pairs), strict=True)) == {0: 2, 1: 0, 2: 1}


@pytest.mark.parametrize(("alternatives", "true"), [(6, 2), (3, 5), (4, 4), (3, 0)])
def test_matches_are_one_to_one(alternatives: int, true: int) -> None:
    """min(K, G) masks are matched, none of them twice."""
    (pairs,) = many_to_many_matching(torch.randn(1, alternatives, 6, 6), [masks(true)])
    for side in pairs:
        assert len(side) == len(set(side.tolist())) == min(alternatives, true)


def test_the_cheapest_of_all_matchings_is_taken() -> None:
    """No other assignment costs less."""
    logits, true = torch.randn(1, 3, 6, 6), masks(3)
    each = torch.stack([semantic_sam_cost(logits[0], true[g].expand(3, 6, 6)) for g in range(3)])
    best = min(sum(each[g, k] for g, k in enumerate(order)) for order in permutations(range(3)))
    torch.testing.assert_close(many_to_many_loss(logits, [true]), torch.as_tensor(best) / 3)


def test_order_of_the_truth_does_not_matter() -> None:
    """Shuffled true masks cost the same."""
    logits, true = torch.randn(1, 3, 6, 6), masks(4)
    shuffled = many_to_many_loss(logits, [true[[3, 1, 0, 2]]])
    torch.testing.assert_close(shuffled, many_to_many_loss(logits, [true]))


def test_clicks_do_not_mix() -> None:
    """Two clicks cost what each costs alone."""
    logits, sets = torch.randn(2, 3, 6, 6), [masks(2), masks(3)]
    alone = [many_to_many_loss(logits[i : i + 1], sets[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(
        many_to_many_loss(logits, sets, reduction="none"), torch.stack(alone)
    )


def test_one_true_mask_is_sams_own_loss() -> None:
    """Three alternatives and one true mask: the minimum over masks."""
    logits, true = torch.randn(2, 3, 6, 6), masks(2)
    ours = many_to_many_loss(logits, [true[:1], true[1:]], cost=sam_cost)
    torch.testing.assert_close(ours, ambiguity_loss(logits, true))


def test_unmatched_masks_learn_nothing() -> None:
    """Their gradient is exactly 0."""
    logits, true = torch.randn(1, 6, 6, 6, requires_grad=True), masks(2)
    ((rows, _),) = many_to_many_matching(logits, [true])
    many_to_many_loss(logits, [true]).backward()
    assert logits.grad is not None
    moved = logits.grad[0].abs().sum(dim=(1, 2)).nonzero()[:, 0]
    assert moved.tolist() == sorted(rows.tolist())


def test_a_set_for_each_click_is_asked_for() -> None:
    """Two clicks with one set of masks are an error."""
    with pytest.raises(ValueError, match="one set"):
        many_to_many_loss(torch.randn(2, 3, 6, 6), [masks(1)])


def test_costs_that_are_not_finite_reach_the_loss() -> None:
    """A NaN is seen by who looks at the loss, and does not stop the matching."""
    logits = torch.randn(1, 2, 6, 6)
    logits[0, 0] = float("nan")
    assert many_to_many_loss(logits, [masks(2)]).isnan()
