import numpy as np
import pytest
from rasterio.windows import Window

from samdomain_geo.scenes.windows import SharedWindow, Sharing, share_windows

ALONE = Sharing(contexts=(2.5,), widest=2.5, margin=0.75)


def share(
    boxes: list, rows: int = 1000, columns: int = 1000, **sharing: float
) -> list[SharedWindow]:
    return share_windows(np.array(boxes, float).reshape(-1, 4), rows, columns, Sharing(**sharing))


def only(boxes: list, rows: int = 1000, columns: int = 1000) -> Window:
    (shared,) = share(boxes, rows, columns)
    return shared.window


def test_a_lone_object_sits_in_the_middle_of_its_context() -> None:
    """A box of 40 x 20 gets a square of 100 around its centre."""
    assert only([[480, 490, 520, 510]]) == Window(450, 450, 100, 100)


def test_a_window_moves_inside_at_the_edge() -> None:
    """At a corner the window keeps its size and moves, so that the context stays."""
    assert only([[0, 0, 40, 20]]) == Window(0, 0, 100, 100)
    assert only([[960, 980, 1000, 1000]]) == Window(900, 900, 100, 100)


def test_a_window_is_cut_where_the_scene_is_smaller() -> None:
    """A scene smaller than the window is taken whole."""
    assert only([[10, 10, 50, 50]], 60, 80) == Window(0, 0, 80, 60)


def test_a_tiny_object_gets_a_window_worth_looking_at() -> None:
    """A box of half a pixel is seen with 16 pixels around it."""
    assert only([[50, 50, 50.5, 50.5]]).width == 16


def test_neighbours_of_similar_size_share() -> None:
    """Two huts side by side are seen in one window that holds both with their margins."""
    (shared,) = share([[400, 400, 440, 440], [450, 400, 490, 440]])
    assert shared.members.tolist() == [0, 1]
    assert shared.window.col_off <= 400 - 10
    assert shared.window.col_off + shared.window.width >= 490 + 10


def test_a_shed_beside_a_hall_is_looked_at_on_its_own() -> None:
    """An object that would see too wide a window gets one of its own size."""
    windows = share([[400, 400, 500, 500], [510, 440, 520, 450]])
    assert [shared.window.width for shared in windows] == [250, 25]


def test_far_objects_do_not_share() -> None:
    """Objects that no window holds together are looked at one by one."""
    assert len(share([[100, 100, 140, 140], [800, 800, 840, 840]])) == 2


@pytest.fixture
def crowd() -> np.ndarray:
    """300 boxes of all sizes, some over others, between pixels."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 900, (300, 2))
    return np.concatenate([corner, corner + rng.uniform(2, 90, (300, 2))], axis=1)


def test_every_object_is_whole_in_exactly_one_window(crowd: np.ndarray) -> None:
    """Each box is a member once, inside its window, which is not too wide for it."""
    windows = share_windows(crowd, 1000, 1000)
    members = np.concatenate([shared.members for shared in windows])
    assert sorted(members.tolist()) == list(range(300))
    assert len(windows) < 200
    for shared in windows:
        left, top = shared.window.col_off, shared.window.row_off
        boxes = crowd[shared.members]
        assert (boxes[:, :2] >= [left, top]).all()
        assert (boxes[:, 2:] <= [left + shared.window.width, top + shared.window.height]).all()
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        assert (np.maximum(sides * 5, 16) >= shared.window.width - 1).all()


def test_the_order_in_the_file_changes_nothing(crowd: np.ndarray) -> None:
    """Shuffled boxes are seen in the same windows, with the same neighbours."""
    shuffle = np.random.default_rng(1).permutation(len(crowd))

    def groups(windows: list[SharedWindow], index: np.ndarray) -> set:
        return {(shared.window, frozenset(index[shared.members].tolist())) for shared in windows}

    plain = share_windows(crowd, 1000, 1000)
    shuffled = share_windows(crowd[shuffle], 1000, 1000)
    assert groups(plain, np.arange(len(crowd))) == groups(shuffled, shuffle)


def test_sharing_can_be_declined(crowd: np.ndarray) -> None:
    """Where nothing wider than the context is allowed, nearly every object is alone."""
    assert len(share_windows(crowd, 1000, 1000, ALONE)) > 280


def test_nothing_to_look_at_needs_no_window() -> None:
    """No boxes make no windows."""
    assert share([]) == []
