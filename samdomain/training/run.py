"""Train once: one config, one seed, one folder."""

import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from samdomain.adapter_file import AdapterCard, save_adapter
from samdomain.policies import trainable_parameters
from samdomain.recipes import Calibration
from samdomain.training.command import Built, Command, checkpoints
from samdomain.training.curves import draw_curves
from samdomain.training.epoch_log import EpochLog, read_csv
from samdomain.training.evaluation import evaluate
from samdomain.training.publishing import told_of_disk, write_text
from samdomain.training.run_folder import RunFolder, is_first

DONE = "done"
"""What the file is called that says that a stage's best checkpoint is final."""


@dataclass(frozen=True)
class Run:
    """Train with one seed into one folder.

    Attributes:
        command: what was asked for.
        seed: fixes all chance.
        folder: where all of it goes.
    """

    command: Command
    seed: int
    folder: RunFolder

    def __call__(self) -> Mapping[str, Any]:
        """Train, or go on training, and return the figures of the run.

        Raises:
            StoppedError: the loss became infinite, or the disk is full; what is done is kept.
            KeyboardInterrupt: somebody interrupted; what is done is kept.
        """
        config = self.command.config
        with told_of_disk(self.folder.path), redirect_stdout(sys.stderr):
            self.folder.open(
                self.command.dump([self.seed]), resume=config.resume, overwrite=config.overwrite
            )
            done = self.folder.read_metrics()
            return self._train() if done is None else done

    def _train(self) -> Mapping[str, Any]:
        began = time.monotonic()
        built = self.command.build(self.seed)
        trained = 0
        for place in range(len(built.module.recipe.stages)):
            built.module.start(place)
            trained = max(trained, trainable_parameters(built.module.sam).trainable)
            self._stage(built, place)
        built.module.finish()
        if not is_first():
            return {"val": {}}  # the first process measures and writes
        return self._finish(built, trained, time.monotonic() - began)

    def _stage(self, built: Built, place: int) -> None:
        folder = checkpoints(self.folder.path, place)
        if not (folder / DONE).exists():
            trainer = self.command.trainer(self.folder.path, place, built, [self._log(place)])
            fit(trainer, built, folder / "last.ckpt")
            write_text(folder / DONE, "")
        built.module.load_stage(folder / "best.ckpt")

    def _log(self, place: int) -> EpochLog:
        log = EpochLog(self.folder.log, place + 1)
        if place and self.folder.log.exists():
            log.rows = [row for row in read_csv(self.folder.log) if row["stage"] <= place]
        return log

    def _finish(self, built: Built, trained: int, seconds: float) -> Mapping[str, Any]:
        module, folder = built.module, self.folder
        module.to(self.command.device())
        recipe, data = module.recipe, built.data
        calibration = None if recipe.legend is None else Calibration(recipe.legend)
        measured = evaluate(recipe, module.view(), data.found("val").samples, calibration)
        means = measured.means()
        measured.write(folder.table("val"))
        draw_curves(folder.log, folder.curves)
        figures = {f"val {name}": value for name, value in means.items()}
        scale, told = data.source.scale(data.folder), {"seed": self.seed, **figures}
        card = module.card.card(recipe, scale, told, module.before)
        if calibration is not None:
            card = _calibrated(card, calibration)
        save_adapter(
            module.sam,
            folder.adapter,
            card,
            dtype=torch.float16 if self.command.config.half else None,
            overwrite=True,
        )
        metrics = {
            "seed": self.seed,
            "val": means,
            "trained values": trained,
            "epochs": len(read_csv(folder.log)),
            "seconds": round(seconds, 1),
        }
        folder.write_json(folder.metrics, metrics)
        return metrics


def _calibrated(card: AdapterCard, calibration: Calibration) -> AdapterCard:
    temperature = calibration.temperature()
    errors = {
        "val calibration error": calibration.error(temperature),
        "val calibration error at temperature 1": calibration.error(),
    }
    return replace(card, temperature=temperature, metrics={**card.metrics, **errors})


def fit(trainer: Trainer, built: Built, last: Path) -> None:
    """Train a stage, from its last checkpoint on where there is one.

    Raises:
        KeyboardInterrupt: somebody interrupted.
    """
    try:
        trainer.fit(built.module, built.data, ckpt_path=str(last) if last.exists() else None)
    except SystemExit as error:  # Lightning's ending after an interruption
        raise KeyboardInterrupt from error
