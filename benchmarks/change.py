"""Train SAM-CD beside torchgeo's models of change on pairs of GF-1, and measure where none trained.

    python benchmarks/change.py [CELL ...]     as sam_cd-0; all missing by default
    python benchmarks/change.py compare        what the cells that are there say

MODEL-SEED: `sam_cd` and `plain` (without latents) by the config that ships, on LiteMedSAM's
frozen encoder; `fcsiamconc`, `fcsiamdiff`, `unet`, `btc` and `changevit` of torchgeo's
ChangeDetectionTask, from random weights. All see the same pairs, turned and mirrored in eight ways
(of ours the features, of theirs the images) and in either order of the dates, make the same loss
smaller (cross-entropy and Dice) by AdamW with a rate that falls as a cosine, and have 12 minutes at
most, encoding counted. Trainings compute in bf16 where the processor has it, figures in fp32.
Epochs are chosen by F1 of changes on validation. The test's counts are kept tile by tile, so that
tiles can be drawn anew.

`seconds` are wall seconds of the training. `tuned` is at the threshold that is best on validation.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from grid import RESULTS, precision, read_cell, run_grid
from lightning.pytorch import seed_everything
from numpy.typing import NDArray
from real_data import FOLDER
from rivals import RUNS, falling_rate, own_features, train_rival
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchgeo.trainers import ChangeDetectionTask

from samdomain.metrics import ChangeCounts
from samdomain.recipes import ClassCost, total
from samdomain.training.command import Command
from samdomain.training.dataset import ViewSampler, collate, read_item
from samdomain.training.fit import fit
from samdomain.training.sample import Sample
from samdomain.training.tallies import ChangeTally
from samdomain.views import VIEWS
from samdomain_geo.changes.segmenter import load_change
from samdomain_geo.data.pair_data_module import PairItems

NAME = "change"
SEEDS = (0, 1, 2)
MINUTES = 12
OURS = {"sam_cd": "recommended", "plain": "plain"}
RIVALS = {  # backbone, and the rate that suits its kind
    "fcsiamconc": ("resnet18", 1e-3),
    "fcsiamdiff": ("resnet18", 1e-3),
    "unet": ("resnet18", 1e-3),
    "btc": ("swin_tiny", 2e-4),
    "changevit": ("vit_tiny_patch16_224", 2e-4),
}
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
DRAWS = 10_000

Result = dict[str, Any]
Look = Callable[[Tensor], Tensor]
"""Gives the logits (1, H, W) of a pair (T=2, C, H, W) of 0 to 255."""


def main() -> None:
    """Measure the cells that are named, or all that are missing; or compare those there are."""
    if sys.argv[1:] == ["compare"]:
        compare()
        return
    cells: dict[str, Callable[[], Result]] = {}
    for seed in SEEDS:
        cells |= {f"{name}-{seed}": partial(ours, name, seed) for name in OURS}
        cells |= {f"{name}-{seed}": partial(rival, name, seed) for name in RIVALS}
    run_grid(NAME, cells)


def ours(name: str, seed: int) -> Result:
    """Train an adapter by the config that ships, features computed anew, and measure it."""
    cell = f"change-{name}-{seed}"
    folder = RUNS / cell
    more = ["--resume"] if folder.exists() else []
    words = [*configured(name), f"--seeds={seed}", f"--out={folder}", "--half", *more]
    words += [f"--trainer.max_time=00:00:{MINUTES:02}:00", f"--trainer.precision={precision()}"]
    began = time.process_time()
    with own_features(cell):
        told = dict(fit(words).summary())
    cpu = time.process_time() - began
    segmenter, _ = load_change(folder / "adapter")

    def look(pair: Tensor) -> Tensor:
        return segmenter(*pair[:, None].float())[0]

    return {
        **{key: told[key] for key in ("trained values", "epochs", "seconds")},
        "cpu_seconds": round(cpu, 1),
        "adapter_bytes": sum(one.stat().st_size for one in (folder / "adapter").iterdir()),
        "val": {key: round(one, 4) for key, one in told["val"].items()},
        **measured(look),
    }


class Rival(ChangeDetectionTask):
    """A model of torchgeo with our loss, and a rate that falls over the minutes that it has."""

    def configure_losses(self) -> None:
        """Make the loss that SAM-CD's change branch has."""
        self.criterion = Cost()

    def configure_optimizers(self) -> Any:
        """Return AdamW at a rate that the clock lowers."""
        return falling_rate(self.parameters(), self.hparams["lr"], MINUTES)


class Cost(nn.Module):
    """Cross-entropy and Dice of changes."""

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of logits (B, 1, H, W)."""
        cost = ClassCost(cross_entropy=1.0, dice=1.0)
        return total(cost.of_labels(logits, mask.float(), torch.ones_like(logits)))


def rival(name: str, seed: int) -> Result:
    """Train a model of torchgeo for the minutes, and measure it."""
    seed_everything(seed, workers=True, verbose=False)
    backbone, rate = RIVALS[name]
    task = Rival(name, backbone, weights=None, lr=rate)
    folder = RUNS / f"change-{name}-{seed}"
    told = train_rival(task, loaders(seed), "val_BinaryF1Score", MINUTES, folder)

    def look(pair: Tensor) -> Tensor:
        dates = pair[None].float() / 255
        return task(dates if name.startswith(("fcsiam", "changevit")) else dates.flatten(1, 2))[0]

    return {
        "backbone": backbone,
        "rate": rate,
        **told,
        **measured(look),
    }


def loaders(seed: int) -> list[DataLoader[dict[str, Tensor]]]:
    """Return the batches of training, which are those of `samdomain fit`, and of validation."""
    data = Command("fit", configured("sam_cd")).build(seed).data
    samples, looks = data.found("train").samples, data.source.augmentation()
    sampler = ViewSampler(samples, len(VIEWS) * len(looks), seed)
    every = PairItems(samples, len(VIEWS), looks)
    return [
        DataLoader(every, data.batch_size, sampler=sampler, drop_last=True),
        DataLoader(PairItems(data.found("val").samples), 10),
    ]


def configured(name: str) -> list[str]:
    """Return the words that name a config."""
    return [
        "--config=building-change",
        f"--data.folder={FOLDER / 'gf1-change'}",
        f"--model.recipe.preset={OURS[name]}",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
    ]


def samples(split: Any) -> tuple[Sample, ...]:
    """Return the pairs of a split."""
    return Command("test", configured("sam_cd")).build(0).data.found(split).samples


@torch.no_grad()
def measured(look: Look) -> Result:
    """Measure on the test at one half, and at the threshold that is best on validation."""
    threshold = best_threshold(look)
    shift = float(torch.tensor(threshold).logit())
    plain, tuned, tiles = ChangeTally(), ChangeTally(), {}
    for sample in samples("test"):
        item = read_item(sample)
        logits, batch = look(item.image), collate([item])
        row = plain.add(logits, batch)
        tuned.add(logits - shift, batch)
        tiles[sample.name] = [row[f"pixels_{key}"] for key in ("both", "found", "changed")]
    return {
        "test": {name: round(one, 4) for name, one in plain.pooled().items()},
        "threshold": threshold,
        "tuned": {name: round(one, 4) for name, one in tuned.pooled().items()},
        "tiles": tiles,
    }


def best_threshold(look: Look) -> float:
    """Return the threshold of the highest F1 of changes on validation."""
    counts = dict.fromkeys(THRESHOLDS, ChangeCounts())
    for sample in samples("val"):
        item = read_item(sample)
        found, true = look(item.image)[0].sigmoid(), item.masks.any(dim=0)
        for one in counts:
            counts[one] += ChangeCounts.of(found > one, true)
    return max(counts, key=lambda one: counts[one].figures()["change_f1"])


def compare() -> None:
    """Print each model's figures, and how far SAM-CD is from the best rival and from `plain`.

    Tiles are drawn with replacement, the same for both models and all seeds: the interval holds
    95% of the differences of F1 of all pixels of the drawn tiles, seeds averaged.
    """
    found = {name: cells_of(name) for name in (*OURS, *RIVALS)}
    found = {name: cells for name, cells in found.items() if cells}
    means: dict[str, float] = {}
    for name, cells in found.items():
        scores = [cell["test"]["change_f1"] for cell in cells.values()]
        ious = [cell["test"]["change_iou"] for cell in cells.values()]
        tuned = [cell["tuned"]["change_f1"] for cell in cells.values()]
        means[name] = float(np.mean(scores))
        print(
            f"{name:<11} F1 {means[name]:.4f} (seeds {', '.join(f'{one:.3f}' for one in scores)}) "
            f"IoU {np.mean(ious):.4f} tuned F1 {np.mean(tuned):.4f} "
            f"values {next(iter(cells.values()))['trained values']:,}"
        )
    rivals = [name for name in found if name in RIVALS]
    others = [max(rivals, key=lambda name: means[name])] if rivals else []
    for other in (*others, *(name for name in ("plain",) if name in found)):
        if "sam_cd" in found:
            mean, low, high = difference(found["sam_cd"], found[other])
            print(f"sam_cd - {other}: F1 {mean:+.4f}, 95% of draws {low:+.4f} to {high:+.4f}")


def cells_of(name: str) -> dict[int, Result]:
    """Return the cells of a model that are there, by seed."""
    there = (RESULTS / NAME / f"{name}-{seed}.json" for seed in SEEDS)
    return {
        seed: read_cell(NAME, path.stem)
        for seed, path in zip(SEEDS, there, strict=True)
        if path.exists()
    }


def difference(
    one: Mapping[int, Result], other: Mapping[int, Result], draws: int = DRAWS
) -> tuple[float, float, float]:
    """Return the difference of F1, seeds averaged, and the ends of its bootstrap interval."""
    seeds = sorted(one.keys() & other.keys())
    names = sorted(one[seeds[0]]["tiles"])
    counts = [tile_counts([cells[seed] for seed in seeds], names) for cells in (one, other)]
    chance = np.random.default_rng(0)
    drawn = chance.integers(0, len(names), (draws, len(names)))
    first, second = (f1(own[:, drawn].sum(axis=2)).mean(axis=0) for own in counts)
    whole = [float(f1(own.sum(axis=1)).mean()) for own in counts]
    low, high = np.quantile(first - second, (0.025, 0.975))
    return whole[0] - whole[1], float(low), float(high)


def tile_counts(cells: Sequence[Result], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the pixels (seeds, tiles, 3) that were right, found, and changed."""
    return np.array([[cell["tiles"][name] for name in names] for cell in cells])


def f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of counts (..., 3); 1 where nothing changed and nothing was found."""
    both, sizes = counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


if __name__ == "__main__":
    main()
