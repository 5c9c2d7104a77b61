"""How the learning rate goes over a training, as a share of its highest value."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from samdomain.errors import InputError


@dataclass(frozen=True)
class Schedule(ABC):
    """Rise from nothing in a warm-up, then fall.

    Attributes:
        warmup: share of all steps in which the rate rises, 0 to 1.
    """

    warmup: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a warm-up that is no share."""
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}: allowed is a share of the steps, 0 to 1")

    def __call__(self, step: int, steps: int) -> float:
        """Return the rate at a step, counted from 0, as a share of the highest, 0 to 1."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return (step + 1) / rising
        return self.fall(min(1.0, (step - rising) / max(1, steps - rising)))

    @abstractmethod
    def fall(self, part: float) -> float:
        """Return the share of the highest rate after a part of the fall, 0 to 1."""


@dataclass(frozen=True)
class Cosine(Schedule):
    """Fall along half a cosine.

    Attributes:
        last: share of the highest rate at the end.

    Source: Loshchilov and Hutter, SGDR (2017), equation 5, without restarts.
    """

    last: float = 0.0

    def fall(self, part: float) -> float:
        """Return half a cosine from 1 to the last share."""
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class Polynomial(Schedule):
    """Fall as a power of what is left.

    Attributes:
        power: the power; 0.9 in SamLP's code, 1 is a straight line.
    """

    power: float = 0.9

    def fall(self, part: float) -> float:
        """Return a power of the part that is left."""
        return (1 - part) ** self.power


@dataclass(frozen=True)
class Constant(Schedule):
    """Stay at the highest rate after the warm-up."""

    def fall(self, part: float) -> float:  # noqa: ARG002 - the same at each
        """Return 1."""
        return 1.0
