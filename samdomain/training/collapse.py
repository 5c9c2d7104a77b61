"""End a training that teaches itself nonsense, before it costs more."""

import logging

from lightning.pytorch import Callback, LightningModule, Trainer

from samdomain.recipes import Guided, Recipe

logger = logging.getLogger(__name__)


class CollapseAlarm(Callback):
    """End a training when a figure of validation falls below what a sound model has.

    The best weights so far are kept, as at any end. No label is looked at.

    Args:
        figure: name of the figure in `Recipe.measure`.
        least: mean of the figure below which the training ends.
    """

    def __init__(self, figure: str, least: float) -> None:
        self.figure = figure
        self.least = least

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the figure."""
        del pl_module
        value = trainer.callback_metrics.get(f"val/{self.figure}")
        if value is None or float(value) >= self.least or trainer.sanity_checking:
            return
        trainer.should_stop = True
        kept = "the best epoch so far is kept" if trainer.current_epoch else "no sound one is there"
        logger.warning(
            "epoch %d: %s fell to %.3f, below %.3f: the model teaches itself nonsense, training "
            "ends and %s; set a lower rate, or a larger weight of the anchor",
            trainer.current_epoch,
            self.figure,
            float(value),
            self.least,
            kept,
        )


def alarms(recipe: Recipe) -> list[Callback]:
    """Return the alarms that a recipe asks for; none for most."""
    asked = recipe.alarms if isinstance(recipe, Guided) else {}
    return [CollapseAlarm(figure, least) for figure, least in asked.items()]
