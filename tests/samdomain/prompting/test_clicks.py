import pytest
import torch

from samdomain.errors import PromptError
from samdomain.prompting import central_clicks, central_pixel, clicks_on, corrective_clicks
from samdomain.sam import Prompts


def blob() -> torch.Tensor:
    mask = torch.zeros(1, 9, 12, dtype=torch.bool)
    mask[0, 1:6, 3:8] = True
    return mask


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def values(prompts: Prompts, masks: torch.Tensor) -> list[list[bool]]:
    """What the masks hold under each click."""
    assert prompts.points is not None
    return [
        [bool(mask[int(y), int(x)]) for x, y in clicks.tolist()]
        for mask, clicks in zip(masks, prompts.points, strict=True)
    ]


def test_clicks_lie_where_their_label_says() -> None:
    """Five on the object, then five beside it, in the centres of pixels."""
    masks = torch.cat([blob(), ~blob()])
    prompts = clicks_on(masks, seeded())
    assert isinstance(prompts.points, torch.Tensor)
    assert isinstance(prompts.labels, torch.Tensor)
    assert prompts.labels.tolist() == [[1] * 5 + [0] * 5] * 2
    assert values(prompts, masks) == [[True] * 5 + [False] * 5] * 2
    assert (prompts.points % 1 == 0.5).all()


def test_a_mask_without_outside_has_clicks_inside_only() -> None:
    """Clicks become ragged rather than wrong."""
    prompts = clicks_on(torch.cat([blob(), torch.ones_like(blob())]), seeded(), inside=2, outside=3)
    assert prompts.points is not None
    assert prompts.labels is not None
    assert [len(clicks) for clicks in prompts.points] == [5, 2]
    assert [labels.tolist() for labels in prompts.labels] == [[1, 1, 0, 0, 0], [1, 1]]


def test_every_pixel_can_be_clicked() -> None:
    """Many clicks find all 25 pixels of the object."""
    prompts = clicks_on(blob(), seeded(), inside=500, outside=0)
    assert isinstance(prompts.points, torch.Tensor)
    assert len(prompts.points[0].unique(dim=0)) == 25


def test_impossible_clicks_are_refused() -> None:
    """None at all, and clicks on an empty mask."""
    with pytest.raises(PromptError, match="one at least"):
        clicks_on(blob(), seeded(), inside=0, outside=0)
    with pytest.raises(PromptError, match="mask 0 is empty"):
        clicks_on(torch.zeros_like(blob()), seeded())


def test_centres_are_deepest() -> None:
    """The centre of a block of 5 x 5 is its middle pixel, also at the image's border."""
    masks = torch.cat([blob(), blob().roll((-1, -3), dims=(1, 2))])
    prompts = central_clicks(masks)
    assert isinstance(prompts.points, torch.Tensor)
    assert prompts.points.tolist() == [[[5.5, 3.5]], [[2.5, 2.5]]]


def test_corrections_fall_on_errors() -> None:
    """What was missed gets a click of 1, what was too much one of 0."""
    true = blob().repeat(50, 1, 1)
    predicted = true.roll(2, dims=2)
    prompts = corrective_clicks(true, predicted, seeded())
    assert isinstance(prompts.labels, torch.Tensor)
    assert values(prompts, true ^ predicted) == [[True]] * 50
    assert values(prompts, true) == [[bool(label)] for label in prompts.labels[:, 0].tolist()]
    assert set(prompts.labels.flatten().tolist()) == {0, 1}


def test_corrections_of_perfect_masks() -> None:
    """Nothing is wrong: the click falls on the object, or beside it where there is none."""
    true = torch.cat([blob(), torch.zeros_like(blob())])
    prompts = corrective_clicks(true, true, seeded())
    assert isinstance(prompts.labels, torch.Tensor)
    assert prompts.labels.tolist() == [[1], [0]]
    assert values(prompts, true) == [[True], [False]]


def test_evaluations_click_in_the_middle_of_the_error() -> None:
    """The deepest pixel of an object that was missed whole is its centre."""
    prompts = corrective_clicks(blob(), ~blob() & blob(), seeded(), pick=central_pixel)
    assert isinstance(prompts.points, torch.Tensor)
    assert prompts.points.tolist() == [[[5.5, 3.5]]]
