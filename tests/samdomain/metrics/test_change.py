import pytest
import torch

from samdomain.errors import InputError
from samdomain.metrics import ChangeCounts, ObjectHits, class_averaged, pooled_dice, pooled_iou

CHANGED = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.bool)
FOUND = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)


def test_both_sorts_of_figures_by_hand() -> None:
    """One pixel of two found and three changed: F1 2/5, IoU 1/4; of the rest 8 of 9 and 10."""
    counts = ChangeCounts.of(FOUND, CHANGED)
    assert (counts.both, counts.found, counts.changed, counts.total) == (1, 2, 3, 12)
    assert counts.figures() == pytest.approx(
        {
            "change_f1": 2 / 5,
            "change_iou": 1 / 4,
            "class_averaged_f1": (2 / 5 + 16 / 19) / 2,
            "class_averaged_iou": (1 / 4 + 8 / 11) / 2,
        }
    )


def test_they_are_those_of_masks() -> None:
    """The pooled figures of masks are the same, computed the other way."""
    found, changed = torch.rand(2, 3, 8, 8) > 0.6
    figures = ChangeCounts.of(found, changed).figures()
    assert figures["change_f1"] == pytest.approx(float(pooled_dice(found, changed)))
    averaged = class_averaged(pooled_iou, found, changed)
    assert figures["class_averaged_iou"] == pytest.approx(float(averaged))


def test_counts_of_pairs_add_up() -> None:
    """Pixels of two pairs together are the sum; shares have the same figures."""
    once = ChangeCounts.of(FOUND, CHANGED)
    assert (once + once).figures() == pytest.approx(once.figures())
    shares = ChangeCounts(1 / 12, 2 / 12, 3 / 12, 1.0)
    assert shares.figures() == pytest.approx(once.figures())


def test_nothing_changed_and_nothing_found() -> None:
    """Empty masks agree."""
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    assert set(ChangeCounts.of(nothing, nothing).figures().values()) == {1.0}
    assert set(ObjectHits.of(nothing, nothing).figures().values()) == {1.0}


def test_objects_are_hit_by_a_share() -> None:
    """Half of the first object is found, the second is missed; one answer of two is right."""
    hits = ObjectHits.of(FOUND, CHANGED)
    assert (hits.true, hits.hit, hits.found, hits.right) == (2, 1, 2, 1)
    assert ObjectHits.of(FOUND, CHANGED, share=0.6).hit == 0
    assert (hits + hits).figures() == {"object_recall": 0.5, "object_precision": 0.5}


def test_numbers_are_refused(unchecked: None) -> None:
    """Masks are bool."""
    with pytest.raises(InputError, match="give bool masks"):
        ChangeCounts.of(FOUND.int(), CHANGED)
