"""What a mask's pixels say of its shape: its objects, outline, depth and box."""

from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor


def components(mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "n h w"]:
    """Take a mask apart into the objects that hang together by pixel edges."""
    found = cast("tuple[Any, int]", ndimage.label(mask.cpu().numpy()))
    labels, number = torch.as_tensor(found[0], device=mask.device), found[1]
    return labels == torch.arange(1, number + 1, device=mask.device)[:, None, None]


def outline(masks: Bool[Tensor, "*n h w"]) -> Bool[Tensor, "*n h w"]:
    """Find the pixels of masks that have an edge in common with what is outside.

    Beyond the image is outside.
    """
    padded = torch.nn.functional.pad(masks, (1, 1, 1, 1))
    inside = (
        padded[..., :-2, 1:-1]
        & padded[..., 2:, 1:-1]
        & padded[..., 1:-1, :-2]
        & padded[..., 1:-1, 2:]
    )
    return masks & ~inside


def depth(mask: Bool[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Measure how far each pixel of a mask is from the nearest pixel outside, in pixels.

    Beyond the image is outside; pixels outside are 0.
    """
    padded = torch.nn.functional.pad(mask.cpu(), (1, 1, 1, 1)).numpy()
    distances = torch.as_tensor(ndimage.distance_transform_edt(padded), dtype=torch.float32)
    return distances[1:-1, 1:-1].to(mask.device)


def distance(
    mask: Bool[Tensor, "h w"], spacing: tuple[float, float] = (1.0, 1.0)
) -> Float[Tensor, "h w"]:
    """Measure how far each pixel is from the nearest pixel of a mask that is not empty.

    Args:
        mask: pixels to measure the distance to.
        spacing: height and width of a pixel, in the unit of the result.
    """
    away = ndimage.distance_transform_edt(~mask.cpu().numpy(), sampling=spacing)
    return torch.as_tensor(away, dtype=torch.float32, device=mask.device)


def tight_boxes(masks: Bool[Tensor, "n h w"]) -> Float[Tensor, "n 4"]:
    """Return the smallest boxes (left, top, right, bottom) around masks.

    The right and bottom ends are exclusive: a mask of one pixel has a box of width 1. The box
    of an empty mask is 0, 0, 0, 0.
    """
    ends = [_ends(masks.any(dim=1)), _ends(masks.any(dim=2))]  # of columns, of rows
    boxes = torch.stack([ends[0][0], ends[1][0], ends[0][1], ends[1][1]], dim=1)
    return boxes.float() * masks.any(dim=2).any(dim=1)[:, None]


def _ends(occupied: Bool[Tensor, "n k"]) -> tuple[Tensor, Tensor]:
    length = occupied.shape[1]
    places = torch.arange(length, device=occupied.device)
    first = torch.where(occupied, places, length).amin(dim=1)
    return first, torch.where(occupied, places + 1, 0).amax(dim=1)
