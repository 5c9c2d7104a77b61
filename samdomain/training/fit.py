"""The work behind `samdomain fit`."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from samdomain.door import Facts, Report
from samdomain.training.check import check
from samdomain.training.command import Command
from samdomain.training.config_names import RUN_CONFIG, last_config
from samdomain.training.epoch_log import to_csv
from samdomain.training.publishing import told_of_disk, write_text
from samdomain.training.run import Run
from samdomain.training.run_folder import RunFolder, is_first
from samdomain.training.summary import over_seeds, told

RUNS = Path("runs")
"""Where runs go that were not told where to."""


def fit(words: Sequence[str]) -> Report:
    """Train as a config and flags say; see `samdomain fit --help`."""
    command = Command("fit", words)
    with quiet_warnings():
        if command.config.check:
            built = command.build(command.seeds()[0])
            return check(built.data, built.module.recipe.legend)
        seeds, out = command.seeds(), out_folder(command, words)
        folders = {seed: seed_folder(out, seed) if len(seeds) > 1 else out for seed in seeds}
        runs = {seed: Run(command, seed, RunFolder(path))() for seed, path in folders.items()}
        if not is_first():
            raise SystemExit  # of processes that train together the first one tells
        if len(seeds) == 1:
            return Facts({"run": str(out), **runs[seeds[0]]})
        return _summarised(command, out, runs)


def seed_folder(out: Path, seed: int) -> Path:
    """Return the folder of one of several seeds."""
    return out / f"seed-{seed}"


def out_folder(command: Command, words: Sequence[str]) -> Path:
    """Return the folder that a command writes to: --out, or one of the config's name."""
    recipe = command.config.model.recipe.name if last_config(words) is None else ""
    return folder_of(command.config, words, recipe)


def folder_of(flags: Namespace, words: Sequence[str], otherwise: str) -> Path:
    """Return the folder that a command with some flags writes to.

    Args:
        flags: what was read, with `out` and `resume`.
        words: the command line.
        otherwise: name of the folder, where the command line has no config.
    """
    if flags.out is not None:
        return Path(flags.out)
    config = last_config(words)
    if config is None:
        return RUNS / otherwise
    if config.name == RUN_CONFIG:
        return config.parent if flags.resume else RUNS / config.parent.name
    return RUNS / config.stem


def _summarised(command: Command, out: Path, runs: Mapping[int, Mapping[str, Any]]) -> Report:
    rows = over_seeds({seed: metrics["val"] for seed, metrics in runs.items()})
    with told_of_disk(out):
        write_text(out / "metrics.csv", to_csv(rows))
        write_text(out / RUN_CONFIG, command.dump(list(runs)))
    return Facts({"run": str(out), "seeds": list(runs), "val": told(rows)})


@contextmanager
def quiet_warnings() -> Iterator[None]:
    """Leave out what Lightning says of choices that we made on purpose."""
    with warnings.catch_warnings():
        for message in _KNOWN:
            warnings.filterwarnings("ignore", message)
        yield


_KNOWN = (
    ".*does not have many workers.*",  # reading is cheap beside the encoder
    "Checkpoint directory .* exists",  # a run goes on
    ".*`tensorboardX` has been removed.*",  # tensorboard is in the extra
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",  # Lightning's own use of torch
    "Found .* module.* in eval mode",  # norms of what is frozen
    ".*callbacks used to create the checkpoint need to be provided.*",  # it is only measured
)
