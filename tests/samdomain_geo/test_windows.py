import pytest
from rasterio.windows import Window

from samdomain_geo.windows import window_of


def test_window_is_context_times_the_longer_side() -> None:
    """A box of 40 x 20 in the middle gets a square of 100 around its centre."""
    assert window_of([480, 490, 520, 510], 1000, 1000) == Window(450, 450, 100, 100)


def test_window_moves_inside_at_the_edge() -> None:
    """At a corner the window keeps its size and moves, so that the context stays."""
    assert window_of([0, 0, 40, 20], 1000, 1000) == Window(0, 0, 100, 100)
    assert window_of([960, 980, 1000, 1000], 1000, 1000) == Window(900, 900, 100, 100)


def test_window_is_cut_where_the_scene_is_smaller() -> None:
    """A scene smaller than the window is taken whole."""
    assert window_of([10, 10, 50, 50], 60, 80) == Window(0, 0, 80, 60)


@pytest.mark.parametrize(
    "box", [[3.7, 8.2, 4.1, 8.4], [0, 0, 999.5, 3], [500.5, 20.25, 700.75, 90.5]]
)
def test_window_holds_its_box_whole(box: list[float]) -> None:
    """Fractions of pixels are inside the window as well."""
    window = window_of(box, 1000, 1000)
    left, top, right, bottom = box
    assert window.col_off <= left
    assert window.row_off <= top
    assert window.col_off + window.width >= right
    assert window.row_off + window.height >= bottom


def test_a_tiny_box_gets_a_window_worth_looking_at() -> None:
    """A box of half a pixel is seen with 16 pixels around it."""
    assert window_of([50, 50, 50.5, 50.5], 100, 100).width == 16
