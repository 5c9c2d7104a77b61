import numpy as np
import torch
from scipy import ndimage

from samdomain.prompting import coarse_masks, coarse_polygons, polygon_mask


def disc(size: int = 60, radius: float = 20.0) -> torch.Tensor:
    x = torch.arange(size) + 0.5 - size / 2
    return (x[:, None].square() + x.square()) < radius**2


def test_rectangles_keep_their_corners() -> None:
    """The outline runs along pixel edges, clockwise from the top left."""
    mask = torch.zeros(6, 9, dtype=torch.bool)
    mask[1:4, 2:9] = True
    (polygon,) = coarse_polygons(mask)
    assert polygon.tolist() == [[2, 1], [9, 1], [9, 4], [2, 4]]


def test_without_tolerance_nothing_is_lost() -> None:
    """Filling exact outlines gives any mask without holes back."""
    masks = disc() | disc().roll((15, 18), dims=(0, 1))
    masks[3, 5] = masks[4, 6] = True  # touch by a corner
    masks[50:, 50:] = True
    assert torch.equal(coarse_masks([masks], tolerance=0.0)[0], masks)


def test_random_outlines_are_exact() -> None:
    """Ragged objects that touch their own corners come back with their holes filled."""
    masks = torch.rand(10, 12, 12) > 0.35
    for mask, filled in zip(masks, coarse_masks(masks, tolerance=0.0), strict=True):
        objects, number = ndimage.label(mask.numpy())
        corners = np.ones((3, 3))  # what is outside an object hangs together by corners
        expected = sum(
            ndimage.binary_fill_holes(objects == i + 1, structure=corners) for i in range(number)
        )
        assert np.array_equal(filled.numpy(), np.asarray(expected) > 0)


def test_coarse_outlines_have_few_corners() -> None:
    """A disc becomes a polygon of a handful of corners that still is the disc, roughly."""
    (polygon,) = coarse_polygons(disc())
    assert 3 <= len(polygon) <= 8
    (coarse,) = coarse_masks([disc()])
    iou = (coarse & disc()).sum() / (coarse | disc()).sum()
    assert 0.6 < iou < 1
    assert not torch.equal(coarse, disc())


def test_thin_objects_keep_their_box() -> None:
    """A line that would collapse stays as it is."""
    mask = torch.zeros(5, 60, dtype=torch.bool)
    mask[2, 3:50] = True
    assert torch.equal(coarse_masks([mask])[0], mask)


def test_holes_are_filled() -> None:
    """An outline has no inside."""
    mask = torch.ones(8, 8, dtype=torch.bool)
    mask[3:5, 3:5] = False
    assert coarse_masks([mask])[0].all()


def test_empty_masks_have_no_polygon() -> None:
    """Nothing to outline gives nothing."""
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    assert coarse_polygons(nothing) == []
    assert not coarse_masks([nothing])[0].any()


def test_a_pixel_is_inside_by_its_centre() -> None:
    """A triangle over half of a square holds the pixels whose centres it holds."""
    triangle = torch.tensor([[0.0, 0.0], [3.8, 0.0], [0.0, 3.8]])
    assert polygon_mask([triangle], (4, 4)).sum(dim=1).tolist() == [3, 2, 1, 0]
