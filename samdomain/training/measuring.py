"""The work behind `samdomain validate` and `samdomain test`."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from samdomain.door import Facts, Report
from samdomain.errors import InputError
from samdomain.training.command import Command
from samdomain.training.config_names import RUN_CONFIG, last_config
from samdomain.training.epoch_log import to_csv
from samdomain.training.evaluation import Evaluation, evaluate
from samdomain.training.fit import out_folder, quiet_warnings, seed_folder
from samdomain.training.model import adapted
from samdomain.training.publishing import told_of_disk, write_text
from samdomain.training.run_folder import RunFolder
from samdomain.training.sample import Split
from samdomain.training.summary import over_seeds, told


def validate(words: Sequence[str]) -> Report:
    """Measure an adapter on validation; see `samdomain validate --help`."""
    return _measured("validate", "val", words)


def test(words: Sequence[str]) -> Report:
    """Measure an adapter on the test; see `samdomain test --help`."""
    return _measured("test", "test", words)


def _measured(verb: str, split: Split, words: Sequence[str]) -> Report:
    command = Command(verb, words)
    with quiet_warnings():
        run = run_of(words)
        seeds = command.seeds() if command.config.adapter is None else [0]
        if run is not None and len(seeds) > 1:
            return _over_seeds(command, split, run, seeds)
        measured = _one(command, split, adapter_of(command, run))
        out = _folder(command, words, run)
        return _written(measured, RunFolder(out).table(split))


def run_of(words: Sequence[str]) -> Path | None:
    """Return the folder of the run whose config a command names; None for another config."""
    config = last_config(words)
    if config is None or config.name != RUN_CONFIG:
        return None
    return config.parent


def adapter_of(command: Command, run: Path | None) -> str:
    """Return the adapter that a command names, or else that of its run.

    Raises:
        InputError: there is neither.
    """
    given: str | None = command.config.adapter
    if given is not None:
        return given
    if run is not None and RunFolder(run).adapter.is_dir():
        return str(RunFolder(run).adapter)
    raise InputError(
        "no adapter is named: give --config RUN of a run that is done, --adapter FOLDER, or "
        "--adapter none for the base as it is"
    )


def _folder(command: Command, words: Sequence[str], run: Path | None) -> Path:
    if command.config.out is None and run is not None and command.config.adapter is None:
        return run
    return out_folder(command, words)


def _one(command: Command, split: Split, adapter: str) -> Evaluation:
    with redirect_stdout(sys.stderr):
        model = adapted(command, adapter)
        return evaluate(model.recipe, model.sam, model.data.found(split).samples)


def _written(measured: Evaluation, table: Path) -> Report:
    with told_of_disk(table.parent):
        measured.write(table)
    return Facts({"table": str(table), "masks": len(measured.rows), **measured.means()})


def _over_seeds(command: Command, split: Split, run: Path, seeds: Sequence[int]) -> Report:
    means: dict[int, Mapping[str, float]] = {}
    for seed in seeds:
        folder = RunFolder(seed_folder(run, seed))
        measured = _one(command, split, adapter_of(command, folder.path))
        _written(measured, folder.table(split))
        means[seed] = measured.means()
    rows = over_seeds(means)
    table = run / f"{split}.csv"
    with told_of_disk(run):
        write_text(table, to_csv(rows))
    return Facts({"table": str(table), "seeds": list(seeds), **told(rows)})
