import pytest
import torch

from samdomain import Prompts
from samdomain.errors import InputError
from samdomain.recipes import Batch, WeakPrompts
from samdomain.recipes.weak_prompts import chosen_prompts
from samdomain.sam import Sam


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_boxes_are_tight(sam: Sam, batch: Batch) -> None:
    """Without jitter a box is what the mask says, and the mask comes along."""
    asked = WeakPrompts()(batch, sam.spec, chance())
    assert asked.prompts.boxes.tolist() == [[10, 8, 40, 34], [4, 20, 30, 50]]
    assert asked.masks is not None
    assert torch.equal(asked.masks[1], batch.masks[1])


def test_points_are_on_and_beside(sam: Sam, batch: Batch) -> None:
    """Five on the object, five beside it, as their labels say."""
    asked = WeakPrompts("points")(batch, sam.spec, chance())
    assert asked.prompts.points.shape == (2, 10, 2)
    for points, labels, mask in zip(
        asked.prompts.points, asked.prompts.labels, batch.masks, strict=True
    ):
        columns, rows = points.long().T
        assert torch.equal(mask[rows, columns].long(), labels)


def test_a_polygon_is_a_mask_or_its_box(sam: Sam, batch: Batch) -> None:
    """A real outline is handed over as logits; the official way is the box around it."""
    drawn = WeakPrompts("polygon")(batch, sam.spec, chance()).prompts
    assert drawn.kinds == {"mask"}
    assert (drawn.masks > 0).sum() == batch.masks[0].sum() + batch.masks[1].sum()
    boxed = WeakPrompts("polygon", polygon_as="box")(batch, sam.spec, chance()).prompts
    assert boxed.boxes.tolist() == [[10, 8, 40, 34], [4, 20, 30, 50]]


def test_a_persons_prompts_serve_as_they_are(sam: Sam, batch: Batch) -> None:
    """A batch with prompts of its own is asked by those; what is true nobody knows."""
    points = [torch.tensor([[5.0, 6]]), torch.tensor([[1.0, 2], [3, 4]])]
    labels = [torch.tensor([1]), torch.tensor([1, 0])]
    given = Prompts(points=points, labels=labels, images=torch.tensor([1, 0]))
    asked = WeakPrompts()(Batch(batch.images, batch.masks, prompts=given), sam.spec, chance())
    assert asked.masks is None
    assert asked.prompts.images.tolist() == [0, 1]
    assert [one.tolist() for one in asked.prompts.points] == [[[1, 2], [3, 4]], [[5, 6]]]


def test_no_more_than_asked_for_are_chosen() -> None:
    """Of each image so many at most; fewer stay as they are."""
    images = torch.tensor([0] * 5 + [2])
    prompts = Prompts(boxes=torch.tensor([[0.0, 0, i + 1, 1] for i in range(6)]), images=images)
    chosen = chosen_prompts(prompts, 2, chance())
    assert chosen.images.tolist() == [0, 0, 2]
    assert chosen.boxes[2, 2] == 6
    empty = Prompts(boxes=torch.zeros(0, 4))
    assert len(chosen_prompts(empty, 2, chance())) == 0


@pytest.mark.usefixtures("unchecked")
def test_unknown_kinds_are_refused() -> None:
    """The message lists what there is."""
    with pytest.raises(InputError, match="box, points, polygon, none"):
        WeakPrompts("circle")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="mask and box"):
        WeakPrompts(polygon_as="line")  # type: ignore[arg-type]
