"""The folder of a run: what stands where, and who may write into it."""

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from samdomain.errors import InputError
from samdomain.training.config_names import RUN_CONFIG
from samdomain.training.publishing import write_text

_LIBRARIES = ("samdomain", "torch", "lightning", "peft", "timm", "numpy")


@dataclass(frozen=True)
class RunFolder:
    """Name the files of a run.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The whole config; `samdomain fit --config` with it repeats the run."""
        return self.path / RUN_CONFIG

    @property
    def log(self) -> Path:
        """Table of the epochs."""
        return self.path / "log.csv"

    @property
    def curves(self) -> Path:
        """Picture of the table."""
        return self.path / "curves.png"

    @property
    def adapter(self) -> Path:
        """What was trained."""
        return self.path / "adapter"

    @property
    def metrics(self) -> Path:
        """Figures of the run; it is written last, so that it says that the run is done."""
        return self.path / "metrics.json"

    def table(self, split: str) -> Path:
        """Return the file of the figures of each mask of a split."""
        return self.path / f"{split}.csv"

    def read_metrics(self) -> dict[str, Any] | None:
        """Return the figures of a run that is done, otherwise None."""
        return json.loads(self.metrics.read_text()) if self.metrics.is_file() else None

    def write_json(self, path: Path, values: Mapping[str, Any]) -> None:
        """Write values as JSON, whole or not at all."""
        write_text(path, json.dumps(values, indent=2) + "\n")

    def open(self, config: str, *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready for a run, or for the rest of one.

        Args:
            config: the run's whole config.
            resume: a run with the same config may stand there.
            overwrite: another run that stands there is removed.

        Raises:
            InputError: something stands there that may not be touched.
        """
        if not is_first():
            return  # the first process made it
        if self.path.exists() and any(self.path.iterdir()):
            if resume and self.config.is_file():
                self._check_same(config)
                return
            self._remove(overwrite=overwrite)
        self.write_json(self.path / "versions.json", versions())
        write_text(self.config, config)

    def _remove(self, *, overwrite: bool) -> None:
        if not self.config.is_file():
            raise InputError(f"{self.path} holds something that is no run: give another --out")
        if not overwrite:
            raise InputError(
                f"{self.path} holds a run: --resume goes on with it, --overwrite replaces it"
            )
        shutil.rmtree(self.path)

    def _check_same(self, config: str) -> None:
        there, given = yaml.safe_load(self.config.read_text()), yaml.safe_load(config)
        if changed := sorted(_differences(there, given)):
            raise InputError(
                f"{self.path} was begun with other values of {', '.join(changed[:3])}: resume with "
                f"--config {self.config}, or give another --out"
            )


def is_first() -> bool:
    """Tell whether this is the process that writes, of all that train together."""
    return getattr(rank_zero_only, "rank", 0) == 0


def versions() -> dict[str, str]:
    """Return what a run depends on beside its config."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _differences(one: Any, other: Any, name: str = "") -> set[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found: set[str] = set()
        for key in one.keys() | other.keys():
            found |= _differences(one.get(key), other.get(key), f"{name}.{key}".strip("."))
        return found
    return set() if one == other else {name}
