"""Two processes train as one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samdomain.training.epoch_log import read_csv

TOGETHER = ("--trainer.devices=2", "--trainer.strategy=ddp")


def run(config: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own, which Lightning starts again for the second one."""
    line = [sys.executable, "-m", "samdomain", "fit", "--config", str(config), "--out", str(out)]
    return subprocess.run(
        [*line, "--json", *words], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.slow
def test_two_processes_train_as_one(config: Callable[..., Path], tmp_path: Path) -> None:
    """Each sees half of the batch: figures are those of one process with all of it.

    Boxes do not move by chance here, and the order of the images is the same: what differs is
    the order of sums.
    """
    still = {"name": "sam_sp", "options": {"jitter": 0.0}}
    model = {"recipe": still, "optimisation": {"rate": 0.01}}
    told: dict[str, Any] = {}
    for name, size, words in (("one", 2, ()), ("two", 1, TOGETHER)):
        path = config(model=model, data={"batch_size": size})
        done = run(path, tmp_path / name, *words)
        assert done.returncode == 0, done.stderr
        told[name] = json.loads(done.stdout)
    one, two = (read_csv(tmp_path / name / "log.csv") for name in told)
    assert [row["step"] for row in one] == [row["step"] for row in two] == [3, 6]
    for first, second in zip(one, two, strict=True):
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4)
    assert told["two"]["val"] == pytest.approx(told["one"]["val"], abs=1e-3)
    assert (tmp_path / "two" / "adapter" / "README.md").is_file()


@pytest.mark.slow
def test_a_failure_in_one_process_ends_both(config: Callable[..., Path], tmp_path: Path) -> None:
    """A wrong input is told once, and nothing hangs."""
    path = config(data={"limit": 1000})
    done = run(path, tmp_path / "run", *TOGETHER)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "limit is 1000" in done.stderr


@pytest.mark.parametrize("words", [("--seeds=0,1",), ("--model.recipe.name=samlp",)])
def test_several_runs_do_not_start_processes(
    config: Callable[..., Path], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Several seeds, or stages, need processes that are started from outside; the line says how."""
    done = run(config(), tmp_path / "run", *TOGETHER, *words)
    assert done.returncode == 2
    assert "torchrun --nproc-per-node" in done.stderr
