"""Parameters in groups for AdamW: matrices decay, all else does not."""

from collections.abc import Iterable
from typing import Any

from torch import nn


def decay_groups(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Return groups of what trains, for an optimiser; biases, norms and scales have no decay.

    Args:
        parameters: of a model; what is frozen is left out.
    """
    trained = [one for one in parameters if one.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in trained if one.ndim > 1]},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
