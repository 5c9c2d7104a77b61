"""Train tasks of torchgeo beside our recipes: the same minutes, precision and falling rate."""

import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from grid import precision
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.nn import Parameter
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

RUNS = Path(__file__).parent / "runs"
_RISING = 20  # steps


def train_rival(
    task: LightningModule,
    loaders: Sequence[DataLoader[Any]],
    monitor: str,
    minutes: float,
    folder: Path,
) -> dict[str, Any]:
    """Train a task for the minutes, load its best epoch into it, and tell what it took.

    Args:
        task: what trains.
        loaders: batches of training, and of validation.
        monitor: figure of validation that chooses the epoch; more is better.
        minutes: wall minutes, validation counted.
        folder: where checkpoints go.
    """
    best = ModelCheckpoint(monitor=monitor, mode="max")
    trainer = Trainer(
        max_time={"minutes": minutes},
        max_epochs=-1,
        precision=precision(),
        logger=False,
        callbacks=[best],
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
        accelerator="cpu",
    )
    wall, cpu = time.monotonic(), time.process_time()
    trainer.fit(task, *loaders)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    task.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    task.eval()
    return {
        "trained values": sum(one.numel() for one in task.parameters()),
        "epochs": trainer.current_epoch,
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
    }


def falling_rate(parameters: Iterable[Parameter], rate: float, minutes: float) -> Any:
    """Return AdamW, as Lightning takes it, whose rate the clock lowers as a cosine."""
    began = time.monotonic()

    def factor(step: int) -> float:
        share = min(1.0, (time.monotonic() - began) / (60 * minutes))
        return min(1.0, (step + 1) / _RISING) * (1 + math.cos(math.pi * share)) / 2

    optimizer = AdamW(parameters, lr=rate, weight_decay=0.01)
    return [optimizer], [{"scheduler": LambdaLR(optimizer, factor), "interval": "step"}]


@contextmanager
def own_features(cell: str) -> Iterator[None]:
    """Let a training compute all features itself, whatever others have kept.

    They stay where it is cut off, for the one that goes on.
    """
    folder, before = RUNS / f"features-{cell}", os.environ.get("SAMDOMAIN_CACHE")
    os.environ["SAMDOMAIN_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("SAMDOMAIN_CACHE")
        if before is not None:
            os.environ["SAMDOMAIN_CACHE"] = before
    shutil.rmtree(folder, ignore_errors=True)
