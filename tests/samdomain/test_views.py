import pytest
import torch

from samdomain.views import VIEWS, View


def test_the_views_of_a_square_are_eight_different_ones() -> None:
    """Together they are the symmetries of the square."""
    image = torch.arange(4).reshape(2, 2)
    assert len({tuple(view(image).flatten().tolist()) for view in VIEWS}) == 8
    assert VIEWS[0] == View()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_undone(view: View) -> None:
    """Undoing gives the image back, also where it is no square."""
    image = torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(view.undo(view(image)), image)


@pytest.mark.parametrize("view", VIEWS)
def test_points_move_with_their_pixel(view: View) -> None:
    """The centre of a pixel lies in that pixel of the view."""
    image = torch.zeros(3, 5)
    image[1, 4] = 1
    x, y = view.points(torch.tensor([4.5, 1.5]), (3, 5)).tolist()
    assert view(image)[int(y), int(x)] == 1


@pytest.mark.parametrize("view", VIEWS)
def test_boxes_hold_the_same_pixels(view: View) -> None:
    """A box keeps its corners in order and its content."""
    image = torch.zeros(6, 8)
    image[1:3, 2:7] = 1
    left, top, right, bottom = view.boxes(torch.tensor([[2.0, 1, 7, 3]]), (6, 8))[0].int().tolist()
    seen = view(image)
    assert seen[top:bottom, left:right].min() == 1
    assert seen.sum() == (bottom - top) * (right - left)
