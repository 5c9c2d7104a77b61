import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samdomain.cli import main
from samdomain.training.calibrate import climb, expected, largest_batch, peak_memory


@pytest.mark.parametrize(("budget", "most", "largest"), [(100, 64, 9), (100, 5, 5), (5, 64, 1)])
def test_the_largest_batch_is_on_the_line(budget: int, most: int, largest: int) -> None:
    """10 bytes and 10 an image: 9 images fit into 100 bytes, and nothing larger is tried."""
    tried: list[int] = []

    def probe(size: int) -> int:
        tried.append(size)
        return 10 + 10 * size

    found = climb(probe, budget, most)
    assert largest_batch(found, budget, most) == largest
    assert max(tried) <= max(1, largest)


def test_the_first_batch_says_little() -> None:
    """Of one measured batch each image counts in full."""
    assert expected({1: 20}, 2) == 40
    assert expected({1: 20, 2: 30}, 4) == 50


def test_what_does_not_fit_ends_the_climb() -> None:
    """A device that runs out of memory is believed."""

    def probe(size: int) -> int:
        if size > 2:
            raise torch.OutOfMemoryError
        return 1

    assert climb(probe, 100, 64) == {1: 1, 2: 1}


def test_memory_is_seen_at_its_peak() -> None:
    """What is gone again counts: 200 MB."""
    with peak_memory(torch.device("cpu")) as peak:
        held = torch.ones(50_000_000)
        time.sleep(0.5)  # on a busy machine the one who looks comes late
        del held
    assert 190e6 < peak.taken < 400e6


def test_the_command_tells_the_flag(
    config: Callable[..., Path], capsys: pytest.CaptureFixture
) -> None:
    """Six small images fit anywhere."""
    assert main(["calibrate", "--config", str(config())]) == 0
    assert "--data.batch_size 6" in capsys.readouterr().out
