"""Coarsen masks as a hurried outline does: real polygons with few corners."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.masks import components, tight_boxes
from samdomain.prompting.boxes import Masks

# Steps along a pixel's edges, each a right turn from the one before: (x, y).
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
_FEWEST_CORNERS = 3


def coarse_polygons(
    mask: Bool[Tensor, "h w"], tolerance: float = 0.05
) -> list[Float[Tensor, "_ 2"]]:
    """Outline each object of a mask with few corners; holes are filled.

    The outline follows pixel edges and is simplified by Douglas and Peucker's method. An object
    that collapses to a line keeps its box.

    Args:
        mask: objects, taken apart where they hang together only by corners.
        tolerance: how far the outline may be off, as a share of its length.

    Returns:
        list: corners (x, y) of each object, clockwise, in pixels with the origin at the
        top-left corner; the first corner is not repeated.

    Source: Zhang et al., Improving the Generalization of Segmentation Foundation Model under
    Distribution Shift via Weakly Supervised Adaptation (arXiv 2312.03502), coarse masks: 5 % of
    the outline's length. Its code then takes the polygon's box, which is
    `boxes_around(coarse_masks(...))`.
    """
    return [_coarse(single, tolerance) for single in components(mask)]


def coarse_masks(masks: Masks, tolerance: float = 0.05) -> list[Bool[Tensor, "_ _"]]:
    """Return each mask as its coarse polygons fill it; see `coarse_polygons`."""
    return [
        polygon_mask(coarse_polygons(mask, tolerance), (mask.shape[0], mask.shape[1])).to(
            mask.device
        )
        for mask in masks
    ]


def polygon_mask(
    polygons: Sequence[Float[Tensor, "_ 2"]], size: tuple[int, int]
) -> Bool[Tensor, "h w"]:
    """Fill polygons: a pixel is inside where its centre is inside any of them.

    Args:
        polygons: corners (x, y) in pixels, in order.
        size: (rows, columns) of the mask.
    """
    filled = torch.zeros(size, dtype=torch.bool)
    for polygon in polygons:
        filled |= _fill(polygon.double().cpu(), size)
    return filled


def _coarse(mask: Tensor, tolerance: float) -> Tensor:
    corners = torch.tensor(_trace(mask), dtype=torch.float64)
    steps = corners - corners.roll(1, dims=0)
    coarse = _simplify(corners, tolerance * float(steps.norm(dim=1).sum())).float()
    size = (mask.shape[0], mask.shape[1])
    if len(coarse) >= _FEWEST_CORNERS and polygon_mask([coarse], size).any():
        return coarse
    left, top, right, bottom = tight_boxes(mask[None])[0].tolist()
    return torch.tensor([(left, top), (right, top), (right, bottom), (left, bottom)])


def _trace(mask: Tensor) -> list[tuple[int, int]]:
    """Walk around one object with its pixels on the right, and note the corners."""
    inside: list[list[bool]] = torch.nn.functional.pad(mask, (1, 1, 1, 1)).tolist()
    first = int(mask.flatten().byte().argmax())
    start = (first % mask.shape[1], first // mask.shape[1])
    # Ahead of a corner lie two pixels, by direction: (right x, right y, left x, left y).
    ahead = ((0, 0, 0, -1), (-1, 0, 0, 0), (-1, -1, -1, 0), (0, -1, -1, -1))
    (x, y), direction = start, 0
    corners = [start]
    while True:
        x, y = x + _STEPS[direction][0], y + _STEPS[direction][1]
        if (x, y) == start:
            return corners
        right_x, right_y, left_x, left_y = ahead[direction]
        # Where objects touch by a corner only, turning right stays on this one.
        if not inside[y + right_y + 1][x + right_x + 1]:
            turn = 1
        else:
            turn = -1 if inside[y + left_y + 1][x + left_x + 1] else 0
        if turn:
            corners.append((x, y))
            direction = (direction + turn) % 4


def _simplify(ring: Tensor, tolerance: float) -> Tensor:
    """Keep the corners of a closed line that lie farther off than the tolerance."""
    far = int((ring - ring[0]).norm(dim=1).argmax())
    closed = torch.cat([ring, ring[:1]])
    kept = {0, far}
    spans = [(0, far), (far, len(ring))]
    while spans:
        begin, end = spans.pop()
        between = closed[begin + 1 : end]
        if not len(between):
            continue
        off = _distance(between, closed[begin], closed[end])
        if float(off.max()) > tolerance:
            middle = begin + 1 + int(off.argmax())
            kept.add(middle)
            spans += [(begin, middle), (middle, end)]
    return ring[sorted(kept)]


def _distance(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Measure how far points are from a stretch of line."""
    along = end - start
    share = ((points - start) @ along / along.square().sum().clamp_min(1e-12)).clamp(0, 1)
    return (points - start - share[:, None] * along).norm(dim=1)


def _fill(polygon: Tensor, size: tuple[int, int]) -> Tensor:
    """Count the edges to the left of each pixel's centre: inside, their number is odd."""
    y = torch.arange(size[0], dtype=torch.float64) + 0.5
    x = torch.arange(size[1], dtype=torch.float64) + 0.5
    inside = torch.zeros(size, dtype=torch.bool)
    corners: list[list[float]] = polygon.tolist()
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], *corners[:1]], strict=True):
        if y0 != y1:
            crossed = (y0 <= y) != (y1 <= y)
            at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            inside ^= crossed[:, None] & (at[:, None] < x)
    return inside
