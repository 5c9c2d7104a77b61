"""Take 3-D masks apart into what hangs together, and leave out what is too small to be meant.

Masks are (..., X, Y, Z), as the planes of K classes; each volume is treated by itself. Voxels hang
together by their faces.
"""

import math
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from samdomain.errors import InputError


def label_components(masks: Bool[Tensor, "*k x y z"]) -> Int[Tensor, "*k x y z"]:
    """Number the components of each volume from 1 on, the largest first; 0 is outside.

    Of equals the one whose first voxel comes first in memory is first, so that equal masks have
    equal numbers.
    """
    return _each(masks, _labels)


def keep_largest(masks: Bool[Tensor, "*k x y z"]) -> Bool[Tensor, "*k x y z"]:
    """Return the largest component of each volume alone; empty masks stay empty."""
    return label_components(masks) == 1


def drop_small(
    masks: Bool[Tensor, "*k x y z"],
    smallest: float,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Bool[Tensor, "*k x y z"]:
    """Leave out the components that are smaller than a volume.

    Args:
        masks: where each class is.
        smallest: least volume that stays: mm³, or voxels without a spacing.
        spacing: sides of a voxel along X, Y, Z in mm.

    Raises:
        InputError: the volume or a side is not above 0.
    """
    if not (smallest >= 0 and min(spacing) > 0):
        raise InputError(
            f"components from {smallest} mm³ on of voxels {spacing} mm were asked for: give a "
            "volume of 0 or more and sides above 0"
        )
    # A product of sides as 0.3 is off by a rounding, which must not drop what is just large enough.
    voxels = smallest / math.prod(spacing) * (1 - 1e-9)

    def large(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        labels = _labels(mask)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        return (sizes[labels] >= voxels) & mask

    return _each(masks, large)


def _labels(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    labels, number = cast("tuple[NDArray[np.int32], int]", ndimage.label(mask))
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    ranks = np.zeros(number + 1, np.int64)
    ranks[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, number + 1)
    return ranks[labels]


def _each(masks: Tensor, change: Callable[[NDArray[np.bool_]], NDArray[np.generic]]) -> Tensor:
    volumes = masks.reshape(-1, *masks.shape[-3:]).cpu().numpy()
    changed = np.stack([change(volume) for volume in volumes])
    return torch.as_tensor(changed, device=masks.device).reshape(masks.shape)
