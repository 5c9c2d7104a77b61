from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from samdomain.backbones import BACKBONES
from samdomain.errors import InputError
from samdomain_geo.prompts.clicks import Clicks
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.raster import open_scene

NO_BOX = (np.nan,) * 4


def prompts(boxes: list, clicks: list) -> ObjectPrompts:
    told = np.array(clicks, float).reshape(-1, 4)
    return ObjectPrompts(
        boxes=np.array(boxes, float),
        clipped=np.zeros(len(boxes), bool),
        columns=pd.DataFrame(index=range(len(boxes))),
        outside=0,
        clicks=Clicks(told[:, 1:3], told[:, 3].astype(np.int64), told[:, 0].astype(np.intp)),
    )


@pytest.fixture
def three() -> ObjectPrompts:
    """A box, one click, and a box with a click on it and one beside it."""
    clicks = [(1, 50, 60, 1), (2, 75, 75, 1), (2, 95, 75, 0)]
    return prompts([(10, 10, 20, 30), NO_BOX, (70, 70, 90, 80)], clicks)


def test_extents_hold_boxes_and_clicks(three: ObjectPrompts, scene: Path) -> None:
    """A box alone is its own extent, a click gets a square, a click beside a box widens it."""
    with open_scene(scene) as opened:
        extents = three.extents(40, opened)
    assert extents.tolist() == [[10, 10, 20, 30], [30, 40, 70, 80], [70, 70, 95, 80]]


def test_extents_end_at_the_scene(scene: Path) -> None:
    """The square about a click in the corner of 160 x 120 pixels is cut there."""
    with open_scene(scene) as opened:
        extents = prompts([NO_BOX], [(0, 159, 2, 1)]).extents(40, opened)
    assert extents.tolist() == [[139, 0, 160, 22]]


def test_clicks_far_apart_widen_the_square(scene: Path) -> None:
    """Clicks that span more than the square are held all the same."""
    with open_scene(scene) as opened:
        extents = prompts([NO_BOX], [(0, 20, 50, 1), (0, 90, 60, 1)]).extents(40, opened)
    assert extents.tolist() == [[20, 35, 90, 75]]


def test_a_part_must_touch_the_box_or_a_click_on_the_object(three: ObjectPrompts) -> None:
    """Clicks beside an object ask for nothing."""
    assert three.area(0).equals(shapely.box(10, 10, 20, 30))
    assert three.area(1).equals(shapely.Point(50, 60))
    assert not three.area(2).intersects(shapely.Point(95, 75))


def test_objects_are_grouped_by_their_kinds(three: ObjectPrompts) -> None:
    """Boxes, lone clicks and both are asked for apart; positions are in the given order."""
    groups = sorted(group.tolist() for group in three.alike(np.array([2, 0, 1, 0])))
    assert groups == [[0], [1, 3], [2]]


def test_a_model_of_boxes_refuses_clicks(three: ObjectPrompts) -> None:
    """The error counts them and names weights that understand them."""
    with pytest.raises(InputError, match=r"2 of 3 objects have clicks, but 'litemedsam' .*mobile"):
        three.check(BACKBONES["litemedsam"].spec)
    three.check(BACKBONES["mobile_sam"].spec)
