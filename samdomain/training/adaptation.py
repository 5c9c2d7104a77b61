"""Run a recipe under Lightning: nothing of the method stands here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from samdomain.acceleration import FastSteps
from samdomain.adapter_file import DataSource
from samdomain.anchor import guides_of
from samdomain.cache import cache_features, features_folder
from samdomain.errors import InputError, StoppedError
from samdomain.injection import adapted_state
from samdomain.recipes import Batch, Guided, Pooling, Recipe, Stage, total
from samdomain.sam import Sam, SamLike
from samdomain.training.choice import BaseChoice, CardChoice, Optimisation, RecipeChoice
from samdomain.training.dataset import epoch_seed
from samdomain.training.groups import decay_groups

_EIGHT_BITS = 255
_PAIR = 4  # dimensions of (T, C, H, W)

# Keys of the model in a checkpoint begin with the name of its attribute.
_PREFIX = "sam."
# Key of the teacher in a checkpoint.
_GUIDES = "guides"


class Adaptation(LightningModule):
    """Adapt a SAM by a recipe.

    Args:
        recipe: what is learned.
        base: weights to start from.
        optimisation: how it is learned.
        cache: keep the features of the encoder's frozen part on disk, so that only the first
            epoch computes them.
        card: what the model card of the adapter shall say.
    """

    def __init__(
        self,
        recipe: RecipeChoice,
        base: BaseChoice | None = None,
        optimisation: Optimisation | None = None,
        cache: bool = True,  # noqa: FBT001, FBT002 - a value of the config
        card: CardChoice | None = None,
    ) -> None:
        super().__init__()
        self.recipe: Recipe = recipe.build()
        self.optimisation = optimisation or Optimisation()
        self.cache = cache
        self.card = card or CardChoice()
        self.base = base or BaseChoice()
        self.sam: Sam = self.base.load()
        # Convolutions run faster so; no value changes.
        self.sam.get_submodule("image_encoder").to(memory_format=torch.channels_last)
        self.seed = 0
        self.stage: Stage = self.recipe
        self.before: tuple[DataSource, ...] = ()
        """What the adapter that training goes on from was trained on."""
        # What an earlier stage trained and a later one freezes is part of the adapter too.
        self._adapted: set[str] = set()
        self._place = 0

    @property
    def strict_loading(self) -> bool:
        """Let checkpoints lack what training never changed."""
        return False

    @strict_loading.setter
    def strict_loading(self, strict_loading: bool) -> None:
        del strict_loading

    def start(self, place: int) -> None:
        """Make the model ready for a stage; the stages before it have to be started before.

        Args:
            place: place of the stage among the recipe's, from 0.
        """
        self._place = place
        if place == 0 and self.base.adapter is not None:
            self.before = self.base.begin(self.sam)
            self._adapted |= set(adapted_state(self.sam))
        self.stage = self.recipe.stages[place]
        torch.manual_seed(epoch_seed(self.seed, -1 - place))
        self.stage.adapt(self.sam)
        self.sam.train()
        self._adapted |= set(adapted_state(self.sam))

    def view(self) -> SamLike:
        """Return the model as recipes shall see it: with cached features where that is wanted."""
        if not self.cache:
            return self.sam
        return cache_features(self.sam, features_folder(), prepare=FastSteps)

    def setup(self, stage: str) -> None:
        """Make the view once a stage, after it is known what trains."""
        del stage
        # In a tuple: as an attribute the model would be a second submodule.
        self._seen = (self.view(),)

    def on_train_epoch_start(self) -> None:
        """Fix the chance of an epoch, so that it is the same after a resumption."""
        epoch = self.current_epoch + 1_000 * self._place
        torch.manual_seed(epoch_seed(self.seed, epoch, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            StoppedError: the loss is not finite; the message names the image.
        """
        del batch_idx
        self._check_dates(batch)
        self._check_values(batch)
        terms = self._terms(batch)
        loss = total(terms)
        if not torch.isfinite(loss):
            raise StoppedError(self._not_finite(batch))
        logged = {"train/loss": loss, **{f"train/{name}": one for name, one in terms.items()}}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(batch), sync_dist=True)
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def optimizer_step(self, *args: Any, **options: Any) -> None:
        """Step, and let what stands beside the model follow."""
        super().optimizer_step(*args, **options)
        if isinstance(self.stage, Guided):
            self.stage.after_step(self.sam)

    def on_validation_epoch_start(self) -> None:
        """Begin to collect the figures of the masks."""
        self._figures: dict[str, list[Tensor]] = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        del batch_idx
        for name, values in self.recipe.measure(self._seen[0], batch).items():
            self._figures.setdefault(name, []).append(values.detach().double().cpu())

    def on_validation_epoch_end(self) -> None:
        """Log the mean of each figure over all masks of all processes, and what is pooled.

        Raises:
            InputError: no image had anything to measure.
        """
        means = self._means()
        if self.recipe.monitor not in means:
            raise InputError(
                f"validation has nothing to measure {self.recipe.monitor!r} by: its images have no "
                "object, and no prompt; give others, or leave it out and have it taken from the "
                "training images"
            )
        for name, value in means.items():
            self.log(f"val/{name}", value, prog_bar=name == self.recipe.monitor)

    def configure_optimizers(self) -> Any:
        """Return AdamW over what trains, its rate set anew each step."""
        settings = self.optimisation
        rate = self.stage.rate if settings.rate is None else settings.rate
        optimizer = AdamW(
            decay_groups(self.sam.parameters()), lr=rate, weight_decay=settings.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = LambdaLR(optimizer, lambda step: settings.schedule(step, steps))
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is as in the base: it is loaded with the base; keep the teacher."""
        state = checkpoint["state_dict"]
        kept = {
            key: one for key, one in state.items() if key.removeprefix(_PREFIX) in self._adapted
        }
        checkpoint["state_dict"] = kept
        if (guides := guides_of(self.sam)) is not None:
            checkpoint[_GUIDES] = guides.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another recipe."""
        self._check_keys(checkpoint["state_dict"])
        self._load_guides(checkpoint)

    def load_stage(self, path: Path) -> None:
        """Load what a stage learned from its checkpoint.

        Raises:
            InputError: the checkpoint is of another recipe.
        """
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self._check_keys(checkpoint["state_dict"])
        self.load_state_dict(checkpoint["state_dict"], strict=False)
        self._load_guides(checkpoint)

    def finish(self) -> None:
        """Let all that any stage trained count as adapted, for the adapter's file."""
        for name, parameter in self.sam.named_parameters():
            parameter.requires_grad_(name in self._adapted)
        self.sam.eval()

    def _load_guides(self, checkpoint: Mapping[str, Any]) -> None:
        if (guides := guides_of(self.sam)) is not None:
            guides.load_state_dict(checkpoint.get(_GUIDES, {}))

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        return self.stage.loss(self.stage.forward(self._seen[0], batch), batch)

    def _not_finite(self, batch: Batch) -> str:
        where = f"the loss is not finite in epoch {self.current_epoch}"
        alone = [(name, self._loss_alone(batch, i)) for i, name in enumerate(batch.names)]
        wrong = [name for name, finite in alone if not finite]
        if len(wrong) == len(batch) and not self._weights_finite():
            return f"{where}: the weights are no longer finite; set a lower rate"
        named = ", ".join(repr(name) for name in wrong or batch.names)
        return f"{where} for {named}: look at its image and masks, or set a lower rate"

    def _loss_alone(self, batch: Batch, place: int) -> bool:
        with torch.no_grad():
            return bool(torch.isfinite(total(self._terms(batch.alone(place)))))

    def _weights_finite(self) -> bool:
        return all(bool(torch.isfinite(one).all()) for one in self.sam.parameters())

    def _means(self) -> dict[str, float]:
        figures = {name: torch.cat(values) for name, values in self._figures.items()}
        gathered: list[Any] = [figures]
        if self.trainer.world_size > 1:
            gathered = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, figures)
        names = dict.fromkeys(name for one in gathered for name in one)
        joined = {n: torch.cat([one[n] for one in gathered if n in one]) for n in names}
        means = {name: float(values.mean()) for name, values in joined.items() if len(values)}
        return self.recipe.pooled(means) if isinstance(self.recipe, Pooling) else means

    def _check_dates(self, batch: Batch) -> None:
        """Refuse pairs where one date is asked for, and the other way round."""
        two = self.recipe.output == "change"
        for name, image in zip(batch.names, batch.images, strict=True):
            if (image.ndim == _PAIR) != two:
                raise InputError(
                    f"image {name!r} has shape {tuple(image.shape)}, but recipe "
                    f"{self.recipe.name!r} takes {'two dates' if two else 'one date'} of a place: "
                    f"{'set data.source to' if two else 'sam_cd is for'} pairs, "
                    "as samdomain.training.pairs.Pairs finds them"
                )

    def _check_values(self, batch: Batch) -> None:
        """Refuse values that the model was not made for: they would train, and mean nothing."""
        spec, highest = self.sam.spec, _EIGHT_BITS
        if spec.scaling != "none":
            if batch.value_range is None:  # each image is scaled by its own values
                return
            highest = batch.value_range[1]
        for name, image in zip(batch.names, batch.images, strict=True):
            if float(image.max()) > highest:
                raise InputError(
                    f"image {name!r} has values up to {float(image.max()):g}, but {spec.name!r} "
                    f"takes 0 to {highest:g} here: convert the images to eight bits, or give "
                    "chips their range of values"
                )

    def _check_keys(self, state: Mapping[str, Tensor]) -> None:
        there = {key.removeprefix(_PREFIX) for key in state}
        if there != self._adapted:
            odd = sorted(there ^ self._adapted)
            raise InputError(
                f"the checkpoint is of another recipe or another base ({len(odd)} tensors differ, "
                f"as {odd[0]}): resume with the config in the run's folder"
            )
