import math

import torch

from samdomain.masks import components, depth, distance, outline, tight_boxes


def block(size: tuple[int, int], rows: slice, columns: slice) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def test_boxes_hold_all_pixels_and_no_row_more() -> None:
    """Each side of a box touches a pixel, its right and bottom ends exclusive."""
    masks = torch.rand(20, 7, 9) > 0.9
    masks = masks[masks.flatten(1).any(dim=1)]
    for mask, box in zip(masks, tight_boxes(masks).int().tolist(), strict=True):
        left, top, right, bottom = box
        inside = mask[top:bottom, left:right]
        assert inside.sum() == mask.sum()
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_a_pixel_has_a_box_of_width_1() -> None:
    """Ends are exclusive also at the far corner of the image; empty masks have 0."""
    masks = torch.stack(
        [block((4, 5), slice(3, 4), slice(4, 5)), block((4, 5), slice(0), slice(0))]
    )
    assert tight_boxes(masks).tolist() == [[4, 3, 5, 4], [0, 0, 0, 0]]


def test_objects_hang_together_by_edges() -> None:
    """Two pixels that share a corner are two objects."""
    mask = torch.eye(3, dtype=torch.bool)
    mask[0, 1] = True
    objects = components(mask)
    assert objects.sum(dim=(1, 2)).tolist() == [3, 1]
    assert torch.equal(objects.any(dim=0), mask)
    assert components(torch.zeros(3, 3, dtype=torch.bool)).shape == (0, 3, 3)


def test_an_outline_is_one_pixel_wide() -> None:
    """A block of 4 x 4 has 12 of them; the image's border is outside."""
    assert outline(block((6, 6), slice(1, 5), slice(1, 5))).sum() == 12
    assert outline(torch.ones(4, 4, dtype=torch.bool)).sum() == 12


def test_depth_counts_from_the_outside() -> None:
    """The centre of a block of 3 lies 2 deep, at the image's border too."""
    assert depth(torch.ones(3, 3, dtype=torch.bool)).tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]


def test_distances_follow_the_spacing() -> None:
    """A row is 3 high, a column 4 wide: the diagonal is 5."""
    away = distance(block((2, 2), slice(1), slice(1)), spacing=(3.0, 4.0))
    assert away.tolist() == [[0, 4], [3, math.hypot(3, 4)]]
