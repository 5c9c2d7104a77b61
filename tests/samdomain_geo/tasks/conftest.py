"""Batches and small data for the tasks' tests."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

# The tasks' tests run where the extra train is installed too.
collect_ignore_glob = ["test_*.py"] if find_spec("lightning") is None else []

SIZE = 48


@pytest.fixture
def batch() -> dict[str, Any]:
    """Two images, 0 to 1, whose left, middle and right third is red, green and blue."""
    return make_batch()


def make_batch(count: int = 2) -> dict[str, Any]:
    mask = (torch.arange(SIZE) * 3 // SIZE).expand(count, SIZE, SIZE).clone()
    image = torch.rand(count, 3, SIZE, SIZE) * 0.2
    image += torch.nn.functional.one_hot(mask, 3).permute(0, 3, 1, 2) * 0.7
    return {"image": image, "mask": mask}


@pytest.fixture
def make_task() -> Callable[..., Any]:
    """Make a task of the tiny SAM; arguments can be changed."""

    def make(**changes: Any) -> Any:
        given: dict[str, Any] = {"weights": "tiny", "num_classes": 3, **changes}
        return import_module("samdomain_geo.tasks").SamSemanticSegmentation(**given)

    return make


@pytest.fixture
def loss() -> Callable[[Any, dict[str, Tensor]], Tensor]:
    """Ask a task for the loss of a batch as torchgeo's steps do."""

    def ask(task: Any, batch: dict[str, Tensor]) -> Tensor:
        return task.criterion(task(batch["image"]).squeeze(1), batch["mask"])

    return ask
