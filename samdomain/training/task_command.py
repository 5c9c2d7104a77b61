"""What the commands of training are told, where the model is a task of its own class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter, Callback, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from samdomain.errors import InputError
from samdomain.segmenter import Segmenter
from samdomain.training.command import board
from samdomain.training.config_names import with_config_paths
from samdomain.training.map_writer import MapWriter

_SWITCHES = {
    "resume": "Go on with the run in the folder --out, where it stopped.",
    "overwrite": "Replace the run in the folder --out.",
}
_OUT = "Folder of the run; by default runs/NAME of the config."
_FLAGS = ("config", "out", *_SWITCHES)


def _refusal(error: ValueError) -> ValueError:
    """Return what a class said, which the parser wraps once for each type that was allowed."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, InputError):
        inner = inner.__cause__ or inner.__context__
    return error if inner is None else inner


class TaskCommand(LightningCLI):
    """Read a config whose model and data name their classes, as torchgeo's command does.

    Args:
        verb: what is done: fit, validate, test or predict.
        words: the command line behind it. A config may be given by its name.

    Attributes:
        writer: what draws predictions, where it is ours; it is made with the trainer.

    Raises:
        jsonargparse.ArgumentError: a key or a value is not allowed.
        InputError: there is no such config.
    """

    def __init__(self, verb: str, words: Sequence[str]) -> None:
        self.verb = verb
        self.writer: MapWriter | None = None
        super().__init__(
            LightningModule,
            LightningDataModule,
            save_config_callback=None,
            seed_everything_default=0,  # as torchgeo has it
            parser_kwargs={"exit_on_error": False, "prog": f"samdomain {verb}"},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=with_config_paths(words),
            run=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our flags, and Lightning's of the verb, as --ckpt_path."""
        parser.add_argument("--out", type=Path | None, default=None, help=_OUT)
        for name, told in _SWITCHES.items():
            parser.add_argument(f"--{name}", action="store_true", help=told)
        skipped: set[str | int] = {*self.subcommands()[self.verb]}
        self._passed = parser.add_method_arguments(Trainer, self.verb, skip=skipped)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse without the warning that LightningCLI has for words that are passed to it."""
        self.config: Namespace = parser.parse_args(args if isinstance(args, list) else None)

    def instantiate_classes(self) -> None:
        """Make nothing yet: `build` does, when the folder is known to be free."""

    def build(self, folder: Path) -> None:
        """Make model, data and trainer, with all that they write in a folder.

        Raises:
            InputError: a class refuses its values.
        """
        self._folder = folder
        try:
            self.config_init = self.parser.instantiate(self.config)
        except ValueError as error:
            raise _refusal(error) from error
        self.model, self.datamodule = self.config_init.model, self.config_init.data
        # A config may have an optimiser beside the model.
        self._add_configure_optimizers_method_to_model(None)
        self.trainer = self.instantiate_trainer()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer; see `build`."""
        given: Any = self.config_init.trainer
        kwargs["default_root_dir"] = self._folder
        if given.logger is None:
            kwargs["logger"] = board(self._folder, 0) if self.verb == "fit" else False
        callbacks: Any = given.callbacks or []
        listed: list[Callback] = callbacks if isinstance(callbacks, list) else [callbacks]
        if self.verb == "fit" and given.enable_checkpointing is not False:
            listed = self._with_checkpoints(listed)
        if self.verb == "predict":
            listed = self._with_writer(listed)
        kwargs["callbacks"] = listed
        return super().instantiate_trainer(**kwargs)

    def run(self, **changes: Any) -> Any:
        """Do what the verb says, and return what Lightning returns.

        Raises:
            KeyboardInterrupt: somebody interrupted.
        """
        passed = {name: self.config[name] for name in self._passed} | changes
        try:
            return getattr(self.trainer, self.verb)(
                self.model, datamodule=self.datamodule, **passed
            )
        except SystemExit as error:  # Lightning's ending after an interruption
            raise KeyboardInterrupt from error

    def dump(self) -> str:
        """Return the whole config as YAML that does the same again."""
        kept = self.config.clone()
        kept.pop("config", None)
        values = yaml.safe_load(self.parser.dump(kept, format="yaml", skip_unset=False))
        for name in (*_FLAGS, *self._passed):
            values.pop(name, None)
        return yaml.safe_dump(values, sort_keys=False)

    def _with_checkpoints(self, listed: list[Callback]) -> list[Callback]:
        """Let checkpoints go into the run's folder: the best by the task's figure, and the last.

        Those that the config names keep their rules.
        """
        named = [one for one in listed if isinstance(one, ModelCheckpoint)]
        if not named:
            monitor, mode = (getattr(self.model, name, None) for name in ("monitor", "mode"))
            best = ModelCheckpoint(filename="best", monitor=monitor, mode=mode or "min")
            named = [best]
            listed = [*listed, best]
        for one in named:
            one.dirpath = str(checkpoint_folder(self._folder))
        named[0].save_last = True
        return listed

    def _with_writer(self, listed: list[Callback]) -> list[Callback]:
        """Let what a segmenter predicts be drawn, unless the config has a writer of its own."""
        segmenter = getattr(self.model, "model", None)
        named = any(isinstance(one, BasePredictionWriter) for one in listed)
        if named or not isinstance(segmenter, Segmenter):
            return listed
        self.writer = MapWriter(self._folder / "predicted", segmenter.legend)
        return [*listed, self.writer]


def checkpoint_folder(folder: Path) -> Path:
    """Return the folder of the checkpoints of a run."""
    return folder / "checkpoints"
