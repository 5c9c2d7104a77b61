"""Compare directions of vectors without losing finite gradients."""

import torch
from torch import Tensor

# A vector shorter than this has no direction; its gradient stays finite.
_SHORTEST = 1e-6


def unit(vectors: Tensor, dim: int) -> Tensor:
    """Return vectors along a dimension at length 1; one of length 0 stays as it is."""
    length = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / length.clamp_min(_SHORTEST)


def angle_cost(first: Tensor, second: Tensor, dim: int) -> Tensor:
    """Return 1 - cosine, from 0 to 2, as half the squared distance of unit vectors.

    This form is never below 0, and exactly 0 with no gradient for equal vectors.
    """
    return (unit(first, dim) - unit(second, dim)).square().sum(dim=dim) / 2
