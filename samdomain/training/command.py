"""What the commands of training are told: LightningCLI with our flags and our endings."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from samdomain.errors import InputError
from samdomain.training.adaptation import Adaptation
from samdomain.training.collapse import alarms
from samdomain.training.config_names import with_config_paths
from samdomain.training.data import Samples

SWITCHES = {
    "resume": "Go on with the run in the folder --out, where it stopped.",
    "overwrite": "Replace the run in the folder --out.",
    "check": "Look for bad data, list it, and train nothing.",
    "half": "Write the adapter in half precision, half as large.",
}

_TRAINER = {
    "max_epochs": 20,
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # ours share out already
    "deterministic": "warn",
}
"""Where our defaults are not Lightning's own."""


@dataclass(frozen=True)
class Stopping:
    """Say when a stage ends before its last epoch.

    Attributes:
        patience: epochs without a better validation after which it ends; never, where it is null.
        min_delta: how much better counts as better.
    """

    patience: int | None = None
    min_delta: float = 0.0


@dataclass(frozen=True)
class Built:
    """What a config makes for one seed."""

    module: Adaptation
    data: Samples


class Command(LightningCLI):
    """Read a config and flags, and make what they say, as often as asked.

    Args:
        verb: name of the command, for its help.
        words: the command line behind it. A config may be given by its name.

    Raises:
        jsonargparse.ArgumentError: a key or a value is not allowed.
        InputError: there is no such config.
    """

    def __init__(self, verb: str, words: Sequence[str]) -> None:
        super().__init__(
            Adaptation,
            Samples,
            save_config_callback=None,
            trainer_defaults=dict(_TRAINER),
            seed_everything_default=False,
            parser_kwargs={"exit_on_error": False, "prog": f"samdomain {verb}"},
            args=with_config_paths(words),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our flags; seeds are ours too."""
        parser.add_argument("--seeds", type=list[int] | int | str, default=0, help=_SEEDS)
        parser.add_argument("--out", type=Path | None, default=None, help=_OUT)
        parser.add_argument("--adapter", type=str | None, default=None, help=_ADAPTER)
        parser.add_argument("--images", type=Path | None, default=None, help=_IMAGES)
        for name, told in SWITCHES.items():
            parser.add_argument(f"--{name}", action="store_true", help=told)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add when a stage ends early."""
        parser.add_class_arguments(Stopping, "stopping")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse without the warning that LightningCLI has for words that are passed to it."""
        self.config: Namespace = parser.parse_args(args if isinstance(args, list) else None)

    def _set_seed(self) -> None:
        """Fix no chance yet: `build` does."""

    def instantiate_classes(self) -> None:
        """Make nothing yet: `build` does, once a seed."""

    def seeds(self) -> list[int]:
        """Return the seeds.

        Raises:
            InputError: they are no whole numbers, or one stands there twice.
        """
        given: Any = self.config.seeds
        listed: list[Any] = given if isinstance(given, list) else str(given).strip("[]").split(",")
        try:
            seeds = [int(one) for one in listed]
        except ValueError as error:
            raise InputError(f"--seeds is {given}: give numbers, as 0,1,2") from error
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise InputError(f"--seeds is {given}: give each once, from 0 on")
        return seeds

    def build(self, seed: int) -> Built:
        """Make module and data of a seed; nothing is adapted yet."""
        seed_everything(seed, workers=True, verbose=False)
        made = self.parser.instantiate(self.config)
        made.model.seed = made.data.seed = seed
        self.config_init = made
        return Built(made.model, made.data)

    def trainer(self, folder: Path, place: int, built: Built, extra: Sequence[Callback]) -> Trainer:
        """Make the trainer of a stage.

        Args:
            folder: folder of the run.
            place: place of the stage, from 0.
            built: what is trained.
            extra: callbacks beside those for checkpoints and early stopping.
        """
        stages = built.module.recipe.stages
        given = dict(self.config_init.trainer)
        given["default_root_dir"] = folder
        given["max_epochs"] = epochs(given["max_epochs"], [one.share for one in stages])[place]
        given["callbacks"] = list(given.get("callbacks") or [])
        if given.get("logger") is None:
            given["logger"] = board(folder, place)
        monitor = f"val/{built.module.recipe.monitor}"
        stopping = [*self._stopping(monitor), *alarms(built.module.recipe)]
        callbacks = [*extra, *stopping, *_checkpoints(folder, place, monitor)]
        trainer = self._instantiate_trainer(given, callbacks)
        self._refuse_spawning(trainer, len(stages))
        return trainer

    def device(self) -> torch.device:
        """Return the device that the trainer would take, or its first one."""
        trainer = Trainer(
            accelerator=self.config.trainer.accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        return trainer.strategy.root_device

    def _stopping(self, monitor: str) -> list[Callback]:
        stopping = self.config_init.stopping
        if stopping.patience is None:
            return []
        return [EarlyStopping(monitor, stopping.min_delta, stopping.patience, mode="max")]

    def _refuse_spawning(self, trainer: Trainer, stages: int) -> None:
        launcher = trainer.strategy.launcher
        if launcher is not None and (stages > 1 or len(self.seeds()) > 1):
            raise InputError(
                "several processes with several seeds or stages have to be started from outside: "
                "torchrun --nproc-per-node N -m samdomain fit ..."
            )

    def dump(self, seeds: Sequence[int]) -> str:
        """Return the whole config as YAML that gives the same training again."""
        kept = self.config.clone()
        kept.pop("config", None)
        kept.data.folder = Path(kept.data.folder).resolve()
        values = yaml.safe_load(self.parser.dump(kept, format="yaml", skip_unset=False))
        for name in ("config", "out", "adapter", "images", *SWITCHES):
            values.pop(name, None)
        values["seeds"] = list(seeds)
        return yaml.safe_dump(values, sort_keys=False)


_SEEDS = "Numbers that fix all chance, as 0,1,2: one run each, then mean and spread."
_OUT = "Folder of the run; by default runs/NAME of the config."
_ADAPTER = "Adapter to use: its folder or name; by default that of the run; none is the base."
_IMAGES = "Images to predict: a folder."


def epochs(all_epochs: int | None, shares: Sequence[float]) -> list[int]:
    """Share epochs out among stages, one each at least.

    Raises:
        InputError: there are fewer epochs than stages.
    """
    number = 1 if all_epochs is None else all_epochs
    if number < 0:
        return [number] * len(shares)  # Lightning's endless training
    if number < len(shares):
        raise InputError(
            f"trainer.max_epochs is {number}, but the recipe has {len(shares)} stages: "
            "give one epoch for each at least"
        )
    whole = sum(shares)
    shared = [max(1, round(number * share / whole)) for share in shares]
    shared[-1] = max(1, number - sum(shared[:-1]))
    return shared


def checkpoints(folder: Path, place: int) -> Path:
    """Return the folder of a stage's checkpoints in a run."""
    return folder / "checkpoints" / f"stage-{place + 1}"


def _checkpoints(folder: Path, place: int, monitor: str) -> list[Callback]:
    shared: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    with warnings.catch_warnings():
        # The folder is there when a run goes on.
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists")
        path = checkpoints(folder, place)
        best = ModelCheckpoint(path, filename="best", monitor=monitor, mode="max", **shared)
        # Lightning's own save_last writes only when the best is written: who goes on after ten
        # epochs without a better one would do them again. It stands behind, and holds the best's
        # state of the same epoch.
        return [best, ModelCheckpoint(path, filename="last", **shared)]


def board(folder: Path, place: int) -> TensorBoardLogger | bool:
    """Return the logger of a stage for which the config names none."""
    if find_spec("tensorboard") is None:
        return False
    return TensorBoardLogger(folder, name="tensorboard", version=f"stage-{place + 1}")
