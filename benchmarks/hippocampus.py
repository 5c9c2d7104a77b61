"""Train the bundle `hippocampus_sam` by its own config beside a small U-Net, and measure both.

    python benchmarks/hippocampus.py [CELL ...]     as samed-0 or unet-0; all missing by default

36 volumes train, 4 choose the epoch, and 20 that neither saw are measured: Dice of each label over
a whole volume, then the mean over volumes. The U-Net of the same seed (MONAI's, 2-D, random
weights) has the same slices, the same evaluator and the minutes that `samed` took.

`minutes` are wall minutes of training with validation and with the first pass through the frozen
encoder: the features of each seed are kept in a folder of its own. A run that was stopped goes on
after its last whole epoch.
"""

import csv
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from grid import read_cell, run_grid
from ignite.engine import Engine, Events
from monai.bundle.workflows import ConfigWorkflow
from monai.networks.nets.unet import UNet
from real_data import FOLDER
from torch import Tensor, nn

from samdomain_med.bundle import find_bundle

RUNS = Path(__file__).parent / "runs"
SEEDS = (0, 1, 2)
LABELS = ("anterior", "posterior")
ENDLESS = 10_000  # epochs; the clock ends the U-Net's training
WIDTHS = (16, 32, 64, 128)

Result = dict[str, Any]


def main() -> None:
    """Measure the cells that are named, or all that are missing."""
    cells: dict[str, Callable[[], Result]] = {}
    for seed in SEEDS:
        cells[f"samed-{seed}"] = partial(samed, seed)
        cells[f"unet-{seed}"] = partial(unet, seed)
    run_grid("hippocampus", cells)


def samed(seed: int) -> Result:
    """Train as the bundle's README says, and measure on the test."""
    folder = RUNS / f"hippocampus-samed-{seed}"
    os.environ["SAMDOMAIN_CACHE"] = str(folder / "cache")
    result = trained_and_measured(folder, {"seed": seed}, Clock(folder))
    shutil.rmtree(folder / "cache", ignore_errors=True)
    adapter = folder / "models" / "adapter"
    return {**result, "adapter_bytes": sum(one.stat().st_size for one in adapter.iterdir())}


def unet(seed: int) -> Result:
    """Train a U-Net for as long on the same slices, and measure it."""
    minutes = read_cell("hippocampus", f"samed-{seed}")["minutes"]
    folder = RUNS / f"hippocampus-unet-{seed}"
    here = "hippocampus"  # this file, as MONAI imports it
    words = {
        "seed": seed,
        "network_def": {"_target_": f"{here}.PaddedUNet"},
        "loss": {"_target_": "DiceCELoss", "softmax": True, "to_onehot_y": True},
        "optimizer#lr": 1e-3,
        "train#handlers#0": {"_target_": f"{here}.Steady"},
        "train#trainer#max_epochs": ENDLESS,
        "finalize": [],
    }
    return trained_and_measured(folder, words, Clock(folder, minutes))


class PaddedUNet(nn.Module):
    """MONAI's U-Net for slices of any size; as its usual words have it, and small."""

    def __init__(self) -> None:
        super().__init__()
        strides = (2,) * (len(WIDTHS) - 1)
        self.net = UNet(2, 3, 1 + len(LABELS), WIDTHS, strides, num_res_units=2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, H, W) of images (B, 3, H, W)."""
        height, width = images.shape[-2:]
        whole = 2 ** (len(WIDTHS) - 1)  # sides that it can halve so often
        filled = nn.functional.pad(images, (0, -width % whole, 0, -height % whole))
        return self.net(filled)[..., :height, :width]


class Steady:
    """Leave the rate as it is: how many steps there will be is not known."""

    def attach(self, engine: Engine) -> None:
        """Join a trainer."""


class Clock:
    """Write the seconds of each epoch down, and end a training when its minutes are over.

    Args:
        folder: where they are written.
        minutes: of all epochs together; without an end by default.
    """

    def __init__(self, folder: Path, minutes: float | None = None) -> None:
        self.path, self.minutes = folder / "epochs.csv", minutes
        self.began = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Join a trainer; attach it last, so that an epoch ends behind its validation."""
        self.began = time.monotonic()
        engine.add_event_handler(Events.STARTED, self.end)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write an epoch down."""
        now = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([engine.state.epoch, now - self.began])
        self.began = now
        self.end(engine)

    def end(self, engine: Engine) -> None:
        """End the training if its minutes are over, also those of a run that goes on."""
        if self.minutes is not None and self.total() >= self.minutes:
            engine.terminate()

    def total(self) -> float:
        """Return the minutes of all epochs; of one that was done again the last."""
        if not self.path.exists():
            return 0.0
        with self.path.open(newline="") as file:
            seconds = {int(epoch): float(one) for epoch, one in csv.reader(file)}
        return sum(seconds.values()) / 60


def trained_and_measured(folder: Path, words: Result, clock: Clock) -> Result:
    """Train by the bundle's config with some words changed, then evaluate the best epoch."""
    names = ["train"]
    if list((folder / "models").glob("checkpoint_epoch=*.pt")):
        names.append("resume")
    training = opened(folder, names, words)
    clock.attach(training.trainer)
    training.run()
    training.finalize()
    network = training.network_def
    evaluation = opened(folder, ["train", "evaluate"], words)
    evaluation.run()
    with (folder / "eval" / "val_mean_dice_raw.csv").open(newline="") as file:
        rows = [[float(one) for one in row[1:3]] for row in list(csv.reader(file))[1:]]
    means = torch.tensor(rows).nanmean(dim=0).tolist()
    return {
        "trained_values": sum(one.numel() for one in network.parameters() if one.requires_grad),
        "epochs": training.trainer.state.epoch,
        "minutes": round(clock.total(), 2),
        "val_dice": round(float(training.parser.get_parsed_content("best").score), 4),
        "volumes": len(rows),
        **{f"dice_{label}": round(one, 4) for label, one in zip(LABELS, means, strict=True)},
        "dice": round(sum(means) / len(means), 4),
    }


def opened(folder: Path, names: list[str], words: Result) -> ConfigWorkflow:
    """Return configs of the bundle, made ready to run in a folder."""
    bundle = find_bundle("hippocampus_sam")
    workflow = ConfigWorkflow(
        [str(bundle / "configs" / f"{name}.json") for name in names],
        workflow_type="train",
        logging_file=str(bundle / "configs" / "logging.conf"),
        bundle_root=str(folder),
        dataset_dir=str(FOLDER / "hippocampus"),
        device="cpu",
        **words,
    )
    workflow.initialize()
    return workflow


if __name__ == "__main__":
    main()
