import pytest
import torch

from samdomain.sam import Frame
from samdomain.sam.frame import resize_image


def test_longer_side_fills_the_square() -> None:
    """A 30 x 60 image becomes 32 x 64 in a square of 64."""
    assert Frame(((30, 60),), 64).resized(0) == (32, 64)


def test_a_strip_keeps_one_pixel() -> None:
    """An image a thousand times wider than high does not vanish."""
    assert Frame(((1, 1000),), 64).resized(0) == (1, 64)


@pytest.mark.parametrize(("padding", "offset"), [("end", (0, 0)), ("both", (16, 0))])
def test_padding_places_the_image(padding: str, offset: tuple[int, int]) -> None:
    """Padding "end" keeps the image at the top left, "both" centres it."""
    frame = Frame(((32, 64),), 64, padding)
    padded = frame.pad(torch.ones(1, 32, 64), 0)
    top, _ = offset
    assert frame.offset(0) == offset
    assert padded.shape == (1, 64, 64)
    assert padded[0, top : top + 32].min() == 1
    assert padded.sum() == 32 * 64


@pytest.mark.parametrize("padding", ["end", "both"])
def test_points_follow_their_image(padding: str) -> None:
    """Corners of each image map to the corners of its place in the square, and back."""
    frame = Frame(((30, 60), (100, 50)), 64, padding)
    points = torch.tensor([[[0.0, 0.0], [60.0, 30.0]], [[0.0, 0.0], [50.0, 100.0]]])
    mapped = frame.to_input(points, torch.tensor([0, 1]))
    torch.testing.assert_close(frame.from_input(mapped, torch.tensor([0, 1])), points)
    for image in range(2):
        top, left = frame.offset(image)
        rows, columns = frame.resized(image)
        assert mapped[image].tolist() == [[left, top], [left + columns, top + rows]]


@pytest.mark.parametrize("padding", ["end", "both"])
def test_mask_returns_to_its_image(padding: str) -> None:
    """A blob pushed through the square comes back with IoU above 0.95."""
    frame = Frame(((90, 140),), 64, padding)
    blob = torch.zeros(1, 90, 140)
    blob[:, 20:70, 30:110] = 1
    square = frame.pad(resize_image(blob, frame.resized(0)), 0) - 0.5
    back = frame.to_original(square, 0) > 0
    both = (back & (blob > 0)).sum()
    assert back.shape == (1, 90, 140)
    assert both / (back | (blob > 0)).sum() > 0.95
