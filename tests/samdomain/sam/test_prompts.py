import pytest
import torch

from samdomain.errors import PromptError
from samdomain.sam import Prompts

BOX = torch.tensor([[0.0, 0, 4, 4]])


def test_kinds_are_those_given() -> None:
    """Kinds name what was given and nothing else."""
    clicks = Prompts(boxes=BOX, points=torch.zeros(1, 2, 2), labels=torch.ones(1, 2).long())
    assert clicks.kinds == {"box", "point"}
    assert Prompts.null(3).kinds == set()
    assert len(Prompts.null(3)) == 3


def test_prompts_belong_to_the_first_image_by_default() -> None:
    """Without images, every prompt is of image 0."""
    assert Prompts(boxes=BOX.repeat(2, 1)).image_indices().tolist() == [0, 0]


def test_ragged_clicks_are_grouped_by_their_number() -> None:
    """Three prompts with 1, 2 and 1 clicks make two groups that remember their rows."""
    points = [torch.full((k, 2), float(k)) for k in (1, 2, 1)]
    labels = [torch.ones(k, dtype=torch.long) for k in (1, 2, 1)]
    prompts = Prompts(points=points, labels=labels, images=torch.tensor([2, 1, 0]))
    groups = [
        (rows.tolist(), group.points.shape, group.images.tolist())
        for rows, group in prompts.groups()
    ]
    assert groups == [([0, 2], (2, 1, 2), [2, 0]), ([1], (1, 2, 2), [1])]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "Prompts.null"),
        ({"boxes": BOX, "images": torch.tensor([0, 1])}, "1 boxes, 2 images"),
        ({"points": torch.zeros(1, 2, 2)}, "go together"),
        ({"points": torch.zeros(1, 1, 2), "labels": torch.tensor([[2]])}, "allowed are 1"),
        ({"points": torch.full((1, 1, 2), torch.nan), "labels": torch.tensor([[1]])}, "not finite"),
        ({"points": [torch.zeros(2, 2)], "labels": [torch.tensor([1])]}, r"labels \(1,\)"),
        ({"boxes": torch.tensor([[4.0, 0, 0, 4]])}, "left must be below right"),
        ({"boxes": torch.tensor([[0.0, 0, torch.inf, 4]])}, "box 0"),
    ],
)
def test_malformed_prompts_are_refused(parts: dict, message: str) -> None:
    """Each fault is named with what is allowed."""
    with pytest.raises(PromptError, match=message):
        Prompts(**parts)
