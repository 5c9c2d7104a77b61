"""The frozen source and the teacher: what an adapted model was, and what slowly follows it.

    recipe.adapt(sam)
    guides = guide(sam, momentum=0.999)
    with guides.as_anchor(sam):                     the model as it was
        pseudo = decode(sam, encode(sam, pixels), prompts)
    ...                                             a step of the optimiser
    guides.follow(sam)                              the teacher moves a little

Both hold values of what trains alone, a few percent as a rule, and share the rest with the model.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.errors import InputError
from samdomain.injection import adapted_state
from samdomain.sam import Sam, SamLike
from samdomain.sam.model import model_of

Given = TypeVar("Given")

# Travels with the model through copies and pickles; a plain attribute, so that no key of the
# state dict changes.
_GUIDES = "samdomain_guides"


class Snapshot:
    """Hold the values of what tells an adapted model from its base, at one time.

    Injections compute nothing before they are trained, so that a snapshot from then is the base
    itself, whatever was injected (LoRA, DoRA, adapters, tokens) and whatever of the base trains.

    Args:
        values: tensors by their key in the state dict; they are held, not copied.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self.values = dict(values)

    @classmethod
    def of(cls, sam: Sam) -> "Snapshot":
        """Copy the present values of what was injected and of what trains."""
        return cls({key: one.detach().clone() for key, one in adapted_state(sam).items()})

    @contextmanager
    def within(self, sam: Sam) -> Iterator[None]:
        """Let a model compute with these values as long as the block runs.

        It is in eval mode and records no gradients meanwhile. Afterwards it is as it was,
        whatever the block raised; blocks may stand in one another. A graph that was recorded
        before keeps its values, so that `backward` may come behind the block.

        Args:
            sam: model that the values are of.

        Raises:
            InputError: the model has no such parameters any more.
        """
        pairs = list(zip(_tensors(sam, self.values), self._near(sam), strict=True))
        theirs = [tensor.data for tensor, _ in pairs]
        try:
            for tensor, value in pairs:
                tensor.data = value
            # Autocast knows a parameter it has cast by its place, whatever its values are now.
            torch.clear_autocast_cache()
            with torch.no_grad(), standing(sam):
                yield
        finally:
            for (tensor, _), value in zip(pairs, theirs, strict=True):
                tensor.data = value
            torch.clear_autocast_cache()

    def follow(self, sam: Sam, momentum: float) -> None:
        """Move the values towards the model's: momentum * these + (1 - momentum) * the model's.

        Args:
            sam: model that the values are of.
            momentum: what stays of these, 0 to 1. Counters are taken over as they are.

        Raises:
            InputError: the model has no such parameters any more.
        """
        with torch.no_grad():
            for own, value in zip(_tensors(sam, self.values), self._near(sam), strict=True):
                if value.is_floating_point():
                    value.lerp_(own.detach(), 1 - momentum)
                else:
                    value.copy_(own)

    def _near(self, sam: Sam) -> list[Tensor]:
        """Return the values where the model's own are, in their precision."""
        own = _tensors(sam, self.values)
        self.values = {
            key: value.to(one.device, one.dtype)
            for (key, value), one in zip(self.values.items(), own, strict=True)
        }
        return list(self.values.values())


@dataclass
class Guides:
    """Keep what a training is held to beside the labels.

    Attributes:
        anchor: the model before training; it never changes.
        teacher: a mean of the model over its steps; None where it shares the model's weights.
        momentum: what stays of the teacher in a step.
        notes: what the anchor said of single images, by whatever key they are known; it says the
            same each time.
    """

    anchor: Snapshot
    teacher: Snapshot | None
    momentum: float
    notes: dict[bytes, Tensor] = field(default_factory=dict[bytes, Tensor])

    def as_anchor(self, sam: Sam) -> AbstractContextManager[None]:
        """Let a model be what it was before training; see `Snapshot.within`."""
        return self.anchor.within(sam)

    def as_teacher(self, sam: Sam) -> AbstractContextManager[None]:
        """Let a model be its teacher; see `Snapshot.within`."""
        return _alone(sam) if self.teacher is None else self.teacher.within(sam)

    def follow(self, sam: Sam) -> None:
        """Let the teacher follow the model; call it after each step of the optimiser."""
        if self.teacher is not None:
            self.teacher.follow(sam, self.momentum)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the teacher's values, for a checkpoint; nothing where it has none of its own.

        The anchor is not in it: `guide` makes the same one again.
        """
        return {} if self.teacher is None else dict(self.teacher.values)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the teacher's values back from `state_dict`.

        Raises:
            InputError: they are of another training.
        """
        if state.keys() != self.state_dict().keys():
            raise InputError(
                f"the teacher has {len(self.state_dict())} tensors, the checkpoint's has "
                f"{len(state)}: resume with the config in the run's folder"
            )
        if self.teacher is not None:
            self.teacher.values = {key: one.detach().clone() for key, one in state.items()}


def guide(sam: Sam, momentum: float = 0.0) -> Guides:
    """Remember with a model what it is now, and give it a teacher.

    A model that has guides already keeps its anchor: the first call decides what the source is.

    Args:
        sam: model that is ready for training, its injections in it; nothing of it changes.
        momentum: what stays of the teacher in a step, 0 to 1: 0 is a teacher that shares the
            model's weights, 1 one that never moves.

    Returns:
        Guides: also kept with the model, see `guides_of`.

    Raises:
        InputError: the momentum is no share.
    """
    if not 0 <= momentum <= 1:
        raise InputError(f"momentum is {momentum}: allowed are 0 (shared) to 1 (frozen)")
    now = Snapshot.of(sam)
    before: Guides | None = getattr(sam, _GUIDES, None)
    anchor = now if before is None else Snapshot({**now.values, **before.anchor.values})
    teacher = Snapshot.of(sam) if momentum else None
    guides = Guides(anchor, teacher, momentum)
    setattr(sam, _GUIDES, guides)
    return guides


def guides_of(sam: SamLike) -> Guides | None:
    """Return what `guide` remembered with a model, or with the model behind a view; or None."""
    return getattr(model_of(sam), _GUIDES, None)


@contextmanager
def standing(sam: nn.Module) -> Iterator[None]:
    """Put a model into eval mode as long as the block runs, and each part back as it was."""
    modes = [(module, module.training) for module in sam.modules()]
    sam.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass(frozen=True)
class Distillation(Generic[Given]):
    """Hold a model to what another one says of the same inputs: rehearsal, or a second teacher.

    One of these keeps old knowledge (the teacher is the frozen source, the inputs are old
    prompts, the cost is `rehearsal_loss` or `anchor_loss`); another brings new knowledge in (the
    teacher is any model, the cost `cosine_loss`).

    Attributes:
        teacher: what to learn from; it is asked without gradients.
        cost: compares what the student said with what the teacher says.
        weight: factor of the cost.

    Source: Wang et al., SAM-CLIP (arXiv 2310.15308), multi-task distillation; with masks as
    teacher's answers it is the anchor of Zhang et al. (arXiv 2312.03502).
    """

    teacher: Callable[[Given], Tensor]
    cost: Callable[[Tensor, Tensor], Tensor]
    weight: float = 1.0

    def __call__(self, student: Float[Tensor, "..."], given: Given) -> Float[Tensor, ""]:
        """Return the weighted cost of what the student said of some inputs."""
        with torch.no_grad():
            taught = self.teacher(given)
        return self.weight * self.cost(student, taught)


@contextmanager
def _alone(sam: Sam) -> Iterator[None]:
    with torch.no_grad(), standing(sam):
        yield


def _tensors(sam: Sam, values: Mapping[str, Tensor]) -> list[Tensor]:
    there: dict[str, Tensor] = dict(sam.named_parameters(remove_duplicate=False))
    there |= dict(sam.named_buffers(remove_duplicate=False))
    if missing := values.keys() - there.keys():
        raise InputError(
            f"the model has no {min(missing)!r} any more: its injections were merged or "
            "exchanged since guide() was called; call it again on a fresh model"
        )
    return [there[key] for key in values]
