import torch

from samdomain import Prompts
from samdomain.recipes.objects import ask_for_objects, choose_objects, meant, united
from samdomain.sam import Frame, Prediction

FRAME = Frame(((64, 64), (64, 64)), input_size=64)


def prediction(masks: torch.Tensor, images: list[int]) -> Prediction:
    """Logits of 1 in masks (N, 16, 16), and of -1 beside them."""
    low_res = masks.float()[:, None] * 2 - 1
    return Prediction(low_res, torch.ones(len(masks), 1), torch.tensor(images), FRAME)


def cells(*places: tuple[slice, slice]) -> torch.Tensor:
    masks = torch.zeros(len(places), 16, 16, dtype=torch.bool)
    for mask, place in zip(masks, places, strict=True):
        mask[place] = True
    return masks


def test_objects_are_chosen_up_to_a_number() -> None:
    """Of three and none, two and none are chosen, each with its image."""
    planes = torch.eye(3, dtype=torch.bool)[:, None]
    chosen = choose_objects([planes, planes[:0]], 2, torch.Generator().manual_seed(0))
    assert len(chosen.masks) == 2
    assert chosen.images.tolist() == [0, 0]
    assert all(mask.sum() == 1 for mask in chosen.masks)


def test_each_part_is_asked_for_by_its_box() -> None:
    """An image with two parts gives two boxes, an empty one gives none."""
    both = cells((slice(0, 2), slice(0, 2)), (slice(0, 0), slice(0, 0)))
    both[0, 8:10, 8:12] = True
    asked = ask_for_objects(prediction(both, [0, 1]), 8)
    assert asked is not None
    assert asked.boxes is not None
    assert asked.boxes.tolist() == [[0, 0, 8, 8], [32, 32, 48, 40]]
    assert asked.image_indices().tolist() == [0, 0]


def test_the_largest_parts_are_asked_for() -> None:
    """Of three parts in one image the two largest are kept, in their order."""
    three = cells((slice(0, 2), slice(0, 2)))
    three[0, 8, 8] = True
    three[0, 12:16, 0:4] = True
    asked = ask_for_objects(prediction(three, [0]), 2)
    assert asked is not None
    assert asked.boxes is not None
    assert asked.boxes.tolist() == [[0, 0, 8, 8], [0, 48, 16, 64]]


def test_specks_are_not_asked_for() -> None:
    """Parts of 4 cells and of 1: from 4 on the first alone, above it none."""
    two = cells((slice(0, 2), slice(0, 2)))
    two[0, 8, 8] = True
    asked = ask_for_objects(prediction(two, [0]), 8, smallest=4.0)
    assert asked is not None
    assert asked.boxes is not None
    assert asked.boxes.tolist() == [[0, 0, 8, 8]]
    assert ask_for_objects(prediction(two, [0]), 8, smallest=4.5) is None


def test_nothing_found_asks_nothing() -> None:
    """There is no box to draw."""
    assert ask_for_objects(prediction(cells((slice(0, 0), slice(0, 0))), [0]), 8) is None


def test_objects_unite_in_their_image() -> None:
    """Two answers become one mask; an image that was not asked keeps its own."""
    before = prediction(cells((slice(0, 1), slice(0, 1)), (slice(5, 6), slice(5, 6))), [0, 1])
    parts = prediction(cells((slice(0, 2), slice(0, 2)), (slice(8, 9), slice(8, 9))), [0, 0])
    joined = united(parts, before)
    assert joined.images.tolist() == [0, 1]
    assert (joined.low_res[0, 0] > 0).sum() == 5
    assert (joined.low_res[1, 0] > 0).sum() == 1


def test_a_box_means_what_lies_in_it() -> None:
    """A box asks for what it holds most of, or lies mostly in; beside all it means nothing."""
    planes = torch.zeros(2, 20, 20, dtype=torch.bool)
    planes[0, 2:6, 2:6] = True
    planes[1, 10:14, 10:14] = True
    boxes = [[2, 2, 5, 6], [0, 0, 20, 20], [10, 10, 12, 13], [12, 10, 16, 14], [15, 0, 20, 5]]
    masks = meant(Prompts(boxes=torch.tensor(boxes).float()), [planes])
    assert torch.equal(masks[0], planes[0])
    assert torch.equal(masks[1], planes.any(dim=0))
    assert torch.equal(masks[2], planes[1])  # a part of it
    assert not masks[3].any()  # half of both is not most of either
    assert not masks[4].any()
