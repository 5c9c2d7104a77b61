"""The work behind `samdomain fit`, `validate`, `test` and `predict`, for tasks."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

from samdomain.door import Facts, Report
from samdomain.errors import InputError
from samdomain.training.adapter_writer import adapter_folder
from samdomain.training.fit import folder_of, quiet_warnings
from samdomain.training.measuring import run_of
from samdomain.training.publishing import told_of_disk
from samdomain.training.run_folder import RunFolder, is_first
from samdomain.training.task_command import TaskCommand, checkpoint_folder


def fit(words: Sequence[str]) -> Report:
    """Train a task into the folder --out; the adapter, where it has one, into OUT/adapter."""
    command = TaskCommand("fit", words)
    folder = RunFolder(_out(command, words))
    flags = command.config
    with _working(folder.path):
        folder.open(command.dump(), resume=flags.resume, overwrite=flags.overwrite)
        if (done := folder.read_metrics()) is not None:
            return Facts({"run": str(folder.path), **done})
        command.build(folder.path)
        last = checkpoint_folder(folder.path) / "last.ckpt"
        command.run(**({"ckpt_path": str(last)} if last.exists() else {}))
    if not is_first():
        raise SystemExit  # of processes that train together the first one tells
    figures = _finish(command, folder)
    return Facts({"run": str(folder.path), **figures})


def validate(words: Sequence[str]) -> Report:
    """Measure a task on validation."""
    return _measured("validate", words)


def test(words: Sequence[str]) -> Report:
    """Measure a task on the test."""
    return _measured("test", words)


def predict(words: Sequence[str]) -> Report:
    """Write what a task predicts: as pictures, or as the config's own writer does."""
    command, folder = _built("predict", words)
    kept = {} if command.writer is None else {"return_predictions": False}
    with _working(folder):
        command.run(**_trained(command, words), **kept)
    if command.writer is None:
        return Facts({"run": str(folder)})
    return Facts({"masks": str(command.writer.folder), "images": command.writer.count})


def _measured(verb: str, words: Sequence[str]) -> Report:
    command, folder = _built(verb, words)
    with _working(folder):
        told: Sequence[Mapping[str, float]] = command.run(**_trained(command, words))
        figures = {name: value for one in told for name, value in one.items()}
        if is_first():
            RunFolder(folder).write_json(folder / f"{verb}.json", figures)
    return Facts({"run": str(folder), **figures})


def _built(verb: str, words: Sequence[str]) -> tuple[TaskCommand, Path]:
    command = TaskCommand(verb, words)
    run = run_of(words)
    folder = run if run and command.config.out is None else _out(command, words)
    _trained(command, words)
    with _working(folder):
        command.build(folder)
    return command, folder


def _trained(command: TaskCommand, words: Sequence[str]) -> dict[str, str]:
    """Return where what was trained is, as arguments of a trainer.

    Raises:
        InputError: nothing that was trained is named.
    """
    flags, run = command.config, run_of(words)
    if flags.ckpt_path is not None:
        return {}
    if run is not None and (done := RunFolder(run).read_metrics()) and "checkpoint" in done:
        return {"ckpt_path": str(run / done["checkpoint"])}
    if (flags.model.get("init_args") or {}).get("adapter") is not None:
        return {}
    raise InputError(
        "nothing that was trained is named: give --config RUN of a run that is done, "
        "--ckpt_path FILE, or --model.init_args.adapter FOLDER"
    )


def _finish(command: TaskCommand, folder: RunFolder) -> dict[str, Any]:
    """Write the figures of a fit, which say that it is done, and return them."""
    trainer = command.trainer
    figures: dict[str, Any] = {n: float(one) for n, one in trainer.callback_metrics.items()}
    kept = trainer.checkpoint_callback
    told: dict[str, Any] = {"last": figures}
    best = Path(kept.best_model_path if isinstance(kept, ModelCheckpoint) else "").resolve()
    # Lightning may remember the path of a run that was moved since.
    if best.is_relative_to(inside := folder.path.resolve()) and best.is_file():
        told["checkpoint"] = str(best.relative_to(inside))
    if adapter_folder(trainer).is_dir():
        told["adapter"] = str(adapter_folder(trainer))
    with told_of_disk(folder.path):
        folder.write_json(folder.metrics, told)
    return told


def _out(command: TaskCommand, words: Sequence[str]) -> Path:
    name = str(command.config.model.class_path).rpartition(".")[2]
    return folder_of(command.config, words, name)


@contextmanager
def _working(folder: Path) -> Iterator[None]:
    """Keep standard output for the report, and tell of what is wrong in one line.

    Raises:
        InputError: data are not there, or Lightning cannot do what the config says.
        StoppedError: the disk is full.
    """
    with quiet_warnings(), redirect_stdout(sys.stderr), told_of_disk(folder):
        try:
            yield
        except Exception as error:
            # Lightning and torchgeo have a class each of this name.
            wrong = type(error).__name__ == "MisconfigurationException"
            if wrong or isinstance(error, FileNotFoundError):
                raise InputError(str(error)) from error
            raise
