"""Write the figures of each epoch into a table that survives a resumption."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from samdomain.training.publishing import write_text


class EpochLog(Callback):
    """Keep one row an epoch, and write them all as CSV after each.

    The rows travel in the checkpoint: who resumes goes on with the rows up to there, so that the
    table is that of an undisturbed training.

    Args:
        path: file to write.
        stage: number of the stage, from 1.
    """

    def __init__(self, path: Path, stage: int = 1) -> None:
        self.path = path
        self.stage = stage
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows back."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the row of an epoch."""
        del pl_module
        figures = {
            name: float(value)
            for name, value in sorted(trainer.callback_metrics.items())
            if "/" in name
        }
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        place = {"stage": self.stage, "epoch": trainer.current_epoch, "step": trainer.global_step}
        self.rows.append({**place, "rate": rate, **figures})
        if trainer.is_global_zero:
            write_text(self.path, to_csv(self.rows))


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV; a column is empty where a row has no such value."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, float]]:
    """Read rows of numbers back; what is empty is left out."""
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
