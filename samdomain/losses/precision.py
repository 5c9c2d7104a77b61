"""Keep sums over pixels out of half precision."""

import torch
from torch import Tensor


def single(tensor: Tensor) -> Tensor:
    """Return a tensor in single precision where it has half; others as they are.

    A half-precision sum over the pixels of a mask overflows, or loses all but three digits.
    """
    return tensor.float() if tensor.dtype in {torch.float16, torch.bfloat16} else tensor
