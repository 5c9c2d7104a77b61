"""AdamW and its rate, as `samdomain fit` has them, for trainers of MONAI."""

from math import ceil

from ignite.engine import Engine, Events
from monai.engines.trainer import SupervisedTrainer
from torch import nn
from torch.nn.utils.clip_grad import clip_grad_norm_
from torch.optim import AdamW, Optimizer

from samdomain.training.groups import decay_groups
from samdomain.training.schedule import Cosine


def adamw(
    network: nn.Module, lr: float, weight_decay: float = 0.01, clip: float | None = None
) -> AdamW:
    """Return AdamW over what trains in a network; biases, norms and scales have no decay.

    Args:
        network: what is optimised.
        lr: highest learning rate.
        weight_decay: decay of matrices.
        clip: norm of all gradients together above which they are scaled down to it, as
            `samdomain fit` does at 1: those of the first steps are far larger than what comes
            later, and AdamW would remember them.
    """
    trained = [one for one in network.parameters() if one.requires_grad]
    optimizer = AdamW(decay_groups(trained), lr=lr, weight_decay=weight_decay)
    if clip is not None:
        largest = clip

        def shorten(*_: object) -> None:
            clip_grad_norm_(trained, largest)

        optimizer.register_step_pre_hook(shorten)
    return optimizer


class CosineRate:
    """Set the rate of each step of a training: a warm-up, then half a cosine to nothing.

    It is a handler for `SupervisedTrainer`, knows how many steps there will be, and takes the
    step from the trainer: so a training that is resumed goes on where it was.

    Args:
        optimizer: whose rates are the highest ones.
        warmup: share of the steps in which the rate rises, 0 to 1.
    """

    def __init__(self, optimizer: Optimizer, warmup: float = 0.05) -> None:
        self.optimizer = optimizer
        self.highest = [group["lr"] for group in optimizer.param_groups]
        self.schedule = Cosine(warmup)

    def attach(self, engine: Engine) -> None:
        """Join a trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Set the rate of the step that this iteration is a part of."""
        length, gathered = engine.state.epoch_length, engine.accumulation_steps
        if length is None or engine.state.max_epochs is None:
            raise TypeError("the trainer does not know how long it runs: give its loader a length")
        epoch, place = divmod(engine.state.iteration - 1, length)
        steps = ceil(length / gathered)  # of an epoch; the last one may gather fewer
        share = self.schedule(epoch * steps + place // gathered, engine.state.max_epochs * steps)
        for group, highest in zip(self.optimizer.param_groups, self.highest, strict=True):
            group["lr"] = highest * share
