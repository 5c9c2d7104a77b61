"""samdomain for medical images, on MONAI.

`SamSegmenter` is a network as MONAI's are, `RecipeLoss` its recipe's own loss. The heavy libraries
load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samdomain.task_network import RecipeLoss
    from samdomain_med.network import SamSegmenter

__all__ = ["RecipeLoss", "SamSegmenter"]

_ROOMS = {"RecipeLoss": "samdomain.task_network", "SamSegmenter": "samdomain_med.network"}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'samdomain_med' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)
