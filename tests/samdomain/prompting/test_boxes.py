import pytest
import torch

from samdomain.errors import PromptError
from samdomain.prompting import boxes_around, gaussian, rough_boxes_around, roughened, uniform
from samdomain.sam import Frame, Prompts


def masks() -> torch.Tensor:
    both = torch.zeros(2, 40, 60, dtype=torch.bool)
    both[0, 5:15, 10:50] = True
    both[1, 39, 59] = True
    return both


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_boxes_are_tight_with_exclusive_ends() -> None:
    """The last pixel of the image has a box of width 1 that ends at the image's end."""
    prompts = boxes_around(masks(), images=torch.tensor([1, 0]))
    assert prompts.boxes is not None
    assert prompts.boxes.tolist() == [[10, 5, 50, 15], [59, 39, 60, 40]]
    assert prompts.image_indices().tolist() == [1, 0]


def test_masks_of_different_sizes_are_taken() -> None:
    """A list gives what its masks give one by one."""
    ragged = [masks()[0], masks()[1, 20:, 20:]]
    prompts = boxes_around(ragged)
    assert prompts.boxes is not None
    assert prompts.boxes.tolist() == [[10, 5, 50, 15], [39, 19, 40, 20]]


@pytest.mark.parametrize("noise", [gaussian, uniform])
def test_rough_boxes_stay_near(noise) -> None:
    """No side moves by more than the limit, none leaves the image or turns around."""
    many = masks().repeat(100, 1, 1)
    prompts = rough_boxes_around(many, seeded(), noise=noise, share=0.5, limit_px=3.0)
    exact = boxes_around(many).boxes
    assert prompts.boxes is not None
    assert exact is not None
    assert (prompts.boxes - exact).abs().max() <= 3
    assert (prompts.boxes >= 0).all()
    assert (prompts.boxes <= torch.tensor([60.0, 40, 60, 40])).all()
    assert (prompts.boxes[:, 2:] - prompts.boxes[:, :2]).min() >= 1


def test_moves_follow_the_side() -> None:
    """Uniform noise moves a side of 40 by 4 at most, and one of 10 by 1, at a tenth."""
    exact = boxes_around(masks()[:1].expand(200, -1, -1)).boxes
    rough = rough_boxes_around(masks()[:1].expand(200, -1, -1), seeded(), noise=uniform).boxes
    assert exact is not None
    assert rough is not None
    largest = (rough - exact).abs().amax(dim=0)
    assert (largest <= torch.tensor([4.0, 1, 4, 1])).all()
    assert (largest >= 0.9 * torch.tensor([4.0, 1, 4, 1])).all()


def test_seeds_repeat() -> None:
    """The same seed gives the same boxes."""
    first, second = (rough_boxes_around(masks(), seeded()).boxes for _ in range(2))
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)


def test_empty_masks_are_refused() -> None:
    """The error tells which mask has no pixel."""
    with pytest.raises(PromptError, match="mask 1 is empty"):
        boxes_around(torch.stack([masks()[0], torch.zeros(40, 60, dtype=torch.bool)]))


def test_prompts_are_roughened_as_masks_are() -> None:
    """Moving exact boxes is drawing rough ones around their masks."""
    images = torch.tensor([1, 0])
    exact = boxes_around(masks(), images)
    frame = Frame(((40, 60), (40, 60)), input_size=64)
    moved = roughened(exact, frame, seeded(), share=0.2)
    expected = rough_boxes_around(masks(), seeded(), images=images, share=0.2)
    assert moved.boxes is not None
    assert expected.boxes is not None
    torch.testing.assert_close(moved.boxes, expected.boxes)
    assert moved.image_indices().tolist() == [1, 0]


def test_without_a_share_or_boxes_nothing_moves() -> None:
    """The prompts are returned as they are."""
    frame = Frame(((40, 60),), input_size=64)
    exact, null = boxes_around(masks()), Prompts.null(1)
    assert roughened(exact, frame, seeded(), share=0.0) is exact
    assert roughened(null, frame, seeded()) is null
