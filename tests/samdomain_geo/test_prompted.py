import numpy as np
import pytest
import shapely
import torch

from samdomain.sam import Sam
from samdomain_geo.prompted import FoundObject, find_objects
from samdomain_geo.raster import open_scene
from samdomain_geo.stretch import Stretch
from samdomain_geo.windows import share_windows


def find(sam: Sam, path: object, boxes: list) -> list[FoundObject]:
    with open_scene(path) as opened:
        placed = np.array(boxes, float)
        windows = share_windows(placed, opened.rows, opened.columns)
        found = dict(find_objects(sam, opened, Stretch.measure(opened), placed, windows))
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
