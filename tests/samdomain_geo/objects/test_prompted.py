import numpy as np
import pandas as pd
import pytest
import shapely
import torch

from samdomain.sam import Sam
from samdomain_geo.objects.prompted import FoundObject, find_objects, read_chip
from samdomain_geo.prompts.clicks import Clicks
from samdomain_geo.prompts.prompts import ObjectPrompts
from samdomain_geo.scenes.raster import open_scene
from samdomain_geo.scenes.stretch import Stretch
from samdomain_geo.scenes.windows import share_windows

NO_BOX = (np.nan,) * 4


def find(sam: Sam, path: object, boxes: list, clicks: list = ()) -> list[FoundObject]:
    """Find objects of boxes and of clicks (object, x, y, label), looking 40 pixels around."""
    told = np.array(clicks, float).reshape(-1, 4)
    prompts = ObjectPrompts(
        boxes=np.array(boxes, float),
        clipped=np.zeros(len(boxes), bool),
        columns=pd.DataFrame(index=range(len(boxes))),
        outside=0,
        clicks=Clicks(told[:, 1:3], told[:, 3].astype(np.int64), told[:, 0].astype(np.intp)),
    )
    with open_scene(path) as opened:
        windows = share_windows(prompts.extents(16, opened), opened.rows, opened.columns)
        stretch = Stretch.measure(opened)
        chips = [read_chip(sam.spec, opened, stretch, window) for window in windows]
        found = dict(find_objects(sam, chips, prompts))
        return [found[i] for i in range(len(boxes))]


def iou(a: shapely.Geometry, b: shapely.Geometry) -> float:
    return a.intersection(b).area / a.union(b).area


@pytest.mark.parametrize(
    "box",
    [
        (30, 40, 46, 52),  # a window of 40 pixels, enlarged for the encoder
        (0, 0, 20, 20),  # in the corner
        (40, 20, 160, 110),  # a window cut by the scene
        (61.5, 40.25, 80, 60),  # prompts lie between pixels
    ],
)
def test_a_bright_block_is_found_where_it_is(bright_sam: Sam, write_scene, box: tuple) -> None:
    """The outline of a block lies on the block, at any place and scale."""
    left, top, right, bottom = (round(edge) for edge in box)
    pixels = np.zeros((3, 120, 200), np.uint8)
    pixels[:, top:bottom, left:right] = 255
    (found,) = find(bright_sam, write_scene(pixels), [box])
    assert iou(found.outline, shapely.box(left, top, right, bottom)) > 0.93
    assert found.score == pytest.approx(0.8)


def test_a_large_object_is_read_coarser(bright_sam: Sam, write_scene) -> None:
    """An object of 1000 pixels is read at 256 and comes back at its full size."""
    pixels = np.zeros((3, 1500, 1500), np.uint8)
    pixels[:, 250:1250, 250:1250] = 255
    (found,) = find(bright_sam, write_scene(pixels), [(250, 250, 1250, 1250)])
    assert iou(found.outline, shapely.box(250, 250, 1250, 1250)) > 0.95


def test_more_objects_than_a_batch_keep_their_order(bright_sam: Sam, write_scene) -> None:
    """Eleven blocks come back in the order of their boxes."""
    pixels = np.zeros((3, 40, 700), np.uint8)
    boxes = [(left, 10, left + 12, 22) for left in range(20, 680, 60)]
    for left, top, right, bottom in boxes:
        pixels[:, top:bottom, left:right] = 255
    found = find(bright_sam, write_scene(pixels), boxes)
    assert len(found) == len(boxes) == 11
    for one, box in zip(found, boxes, strict=True):
        assert iou(one.outline, shapely.box(*box)) > 0.9


def test_a_neighbour_in_the_window_is_no_part(bright_sam: Sam, write_scene) -> None:
    """A bright block beside the prompt, in the same window, is dropped."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    pixels[:, 20:30, 20:30] = 255
    pixels[:, 20:30, 36:40] = 255
    (found,) = find(bright_sam, write_scene(pixels), [(20, 20, 30, 30)])
    assert iou(found.outline, shapely.box(20, 20, 30, 30)) > 0.9


def test_nothing_bright_is_an_empty_object(bright_sam: Sam, write_scene) -> None:
    """A prompt on the dark finds nothing, and says so."""
    (found,) = find(bright_sam, write_scene(np.zeros((3, 60, 60), np.uint8)), [(20, 20, 30, 30)])
    assert found.outline is None


def test_nodata_is_no_object(bright_sam: Sam, write_scene) -> None:
    """Bright nodata stays nodata; a window of nothing else is empty, and no error."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    pixels[:, 20:40, 20:40] = 200
    pixels[:, 20:40, 30:] = 255
    path = write_scene(pixels, nodata=255)
    whole, gone = find(bright_sam, path, [(20, 20, 40, 40), (45, 24, 55, 36)])
    assert iou(whole.outline, shapely.box(20, 20, 30, 40)) > 0.9
    assert gone.outline is None
    (nothing,) = find(
        bright_sam, write_scene(np.full((3, 9, 9), 5, np.uint8), "n.tif", nodata=5), [(1, 1, 5, 5)]
    )
    assert nothing.outline is None


def test_a_click_finds_the_block_under_it(bright_sam: Sam, write_scene) -> None:
    """Of SAM's three answers to one click the best is taken, and of that the part clicked on."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    pixels[:, 20:30, 20:30] = 255
    pixels[:, 20:30, 34:40] = 255
    (found,) = find(bright_sam, write_scene(pixels), [NO_BOX], [(0, 25, 25, 1)])
    assert iou(found.outline, shapely.box(20, 20, 30, 30)) > 0.9
    assert found.score == pytest.approx(0.8)


def test_two_clicks_find_an_object_of_two_parts(bright_sam: Sam, write_scene) -> None:
    """Each part with a click on it belongs to the object; one with a click beside it does not."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    for left in (10, 24, 38):
        pixels[:, 20:30, left : left + 8] = 255
    clicks = [(0, 14, 25, 1), (0, 28, 25, 1), (0, 42, 25, 0)]
    (found,) = find(bright_sam, write_scene(pixels), [NO_BOX], clicks)
    both = shapely.union_all([shapely.box(10, 20, 18, 30), shapely.box(24, 20, 32, 30)])
    assert iou(found.outline, both) > 0.85


def test_a_click_beside_everything_finds_nothing(bright_sam: Sam, write_scene) -> None:
    """A mask that the click is not on is no object of it."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    pixels[:, 20:30, 20:30] = 255
    (found,) = find(bright_sam, write_scene(pixels), [NO_BOX], [(0, 45, 45, 1)])
    assert found.outline is None


def test_objects_of_all_kinds_in_one_window_keep_their_order(bright_sam: Sam, write_scene) -> None:
    """Boxes, one click, two clicks and a box with a click: each finds its own block."""
    pixels = np.zeros((3, 60, 100), np.uint8)
    blocks = [(left, 20, left + 12, 32) for left in (10, 30, 50, 70)]
    for left, top, right, bottom in blocks:
        pixels[:, top:bottom, left:right] = 255
    clicks = [(0, 16, 26, 1), (1, 33, 26, 1), (1, 40, 26, 1), (3, 76, 26, 1)]
    boxes = [NO_BOX, NO_BOX, blocks[2], blocks[3]]
    found = find(bright_sam, write_scene(pixels), boxes, clicks)
    for one, block in zip(found, blocks, strict=True):
        assert iou(one.outline, shapely.box(*block)) > 0.9


def test_a_crowd_is_decoded_in_portions(bright_sam: Sam, write_scene) -> None:
    """Fifty boxes in one window are found as one would be."""
    pixels = np.zeros((3, 60, 60), np.uint8)
    pixels[:, 20:36, 20:36] = 255
    found = find(bright_sam, write_scene(pixels), [(20, 20, 36, 36)] * 50)
    assert all(iou(one.outline, shapely.box(20, 20, 36, 36)) > 0.9 for one in found)


def test_nodata_is_not_encoded(
    bright_sam: Sam, write_scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of nothing but nodata or NaN are empty objects without a run of the encoder."""
    pixels = np.full((3, 40, 120), np.nan, np.float32)
    pixels[:, :, 80:] = 0
    pixels[:, 14:26, 94:106] = 255
    pixels[:, :, :40] = -1
    seen: list[int] = []
    encoder = bright_sam.image_encoder.forward

    def forward(batch: torch.Tensor) -> tuple:
        seen.append(len(batch))
        return encoder(batch)

    monkeypatch.setattr(bright_sam.image_encoder, "forward", forward)
    boxes = [(10, 14, 22, 26), (94, 14, 106, 26), (54, 14, 66, 26)]
    nodata, found, not_a_number = find(bright_sam, write_scene(pixels, nodata=-1), boxes)
    assert seen == [1]
    assert nodata == not_a_number == FoundObject(None, 0.0)
    assert iou(found.outline, shapely.box(*boxes[1])) > 0.9
