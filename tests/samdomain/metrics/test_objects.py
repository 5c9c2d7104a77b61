import pytest
import torch

from samdomain.metrics import ObjectScores, match_objects


def bars(*ends: tuple[int, int]) -> torch.Tensor:
    masks = torch.zeros(len(ends), 1, 20, dtype=torch.bool)
    for mask, (start, stop) in zip(masks, ends, strict=True):
        mask[0, start:stop] = True
    return masks


def test_objects_are_counted() -> None:
    """Of three predicted one matches, one true object of two is missed."""
    scores = match_objects(bars((0, 4), (8, 10), (15, 20)), bars((0, 5), (8, 14)))
    assert scores == ObjectScores(found=1, invented=2, missed=1, ious=(0.8,))
    assert scores.precision == pytest.approx(1 / 3)
    assert scores.recall == 1 / 2
    assert scores.f1 == 2 / 5


def test_the_threshold_itself_is_enough() -> None:
    """An IoU of exactly a half matches at 0.5."""
    assert match_objects(bars((0, 2)), bars((0, 4))).found == 1
    assert match_objects(bars((0, 2)), bars((0, 4)), threshold=0.51).found == 0


def test_no_object_matches_twice() -> None:
    """A second prediction of the same object is invented."""
    scores = match_objects(bars((0, 4), (0, 5)), bars((0, 5)))
    assert (scores.found, scores.invented, scores.ious) == (1, 1, (1.0,))


def test_more_matches_are_better_than_closer_ones() -> None:
    """The best single match is given up where two weaker ones can be had."""
    predicted, true = bars((0, 10), (0, 8)), bars((0, 10), (0, 20))
    scores = match_objects(predicted, true, threshold=0.5)
    assert scores.found == 2
    assert sorted(scores.ious) == [0.5, 0.8]


def test_empty_objects_match_nothing() -> None:
    """An object without a pixel is invented, or missed, even beside another such."""
    assert match_objects(bars((0, 0)), bars((3, 3))) == ObjectScores(0, 1, 1)


def test_images_add_up() -> None:
    """Scores of images are pooled by their sum; nothing at all is perfect."""
    total = sum([ObjectScores(2, 1, 0, (0.9, 0.8)), ObjectScores(1, 0, 3, (0.7,))], ObjectScores())
    assert total == ObjectScores(3, 1, 3, (0.9, 0.8, 0.7))
    none = match_objects(bars(), bars())
    assert none.precision == none.recall == none.f1 == 1


def test_thresholds_of_0_are_refused() -> None:
    """Everything would match everything."""
    with pytest.raises(ValueError, match="above 0"):
        match_objects(bars((0, 1)), bars((0, 1)), threshold=0.0)
