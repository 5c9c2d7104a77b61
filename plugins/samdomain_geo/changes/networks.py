"""Adapters as networks that look at chips of two dates at once, the later one's bands last."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samdomain.acceleration import Precision
from samdomain_geo.changes.segmenter import ChangeSegmenter, load_change
from samdomain_geo.classes.class_network import ClassNetwork, base_for, filled_up
from samdomain_geo.classes.lazy_network import LazyNetwork
from samdomain_geo.scenes.stretch import DISPLAY_RANGE

Chips = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ChangeNetwork:
    """Give the probability of a change in chips.

    Attributes:
        segmenter: model that is asked.
        side: side of a chip in pixels; smaller ones are filled up.
    """

    segmenter: ChangeSegmenter
    side: int

    def __call__(self, chips: Chips) -> Chips:
        """Return probabilities (B, 1, rows, columns) of chips (B, 2 x bands, rows, columns)."""
        rows, columns = chips.shape[2:]
        before, after = filled_up(chips, self.side).chunk(2, dim=1)
        found = self.segmenter.probability(before, after)
        return found[..., :rows, :columns].numpy()

    @property
    def engine(self) -> str:
        """What runs the model, in words."""
        return getattr(self.segmenter.sam, "engine", "")


@dataclass(frozen=True)
class ChangeSource(LazyNetwork[ChangeNetwork]):
    """Load an adapter of change as a network that infers fast.

    Attributes:
        adapter: folder of the adapter.
        weights: base, as `load_sam` knows it; None for the adapter's own.
        precision: see `samdomain.accelerate`.
        side: side of a chip in pixels.
    """

    adapter: str
    weights: str | None
    precision: Precision
    side: int

    def load(self) -> ChangeNetwork:
        """Load the network."""
        segmenter, _ = load_change(self.adapter, base_for(self.adapter, self.weights))
        segmenter.value_range = DISPLAY_RANGE  # one for all chips
        return ChangeNetwork(segmenter.accelerated(self.precision), self.side)


@dataclass(frozen=True, eq=False)
class TwoDatesNetwork:
    """Give the probabilities of classes at both dates.

    Attributes:
        network: names the pixels of one date.
        alone: it knows one thing and gives its probability; the rest is another class then.
    """

    network: ClassNetwork
    alone: bool

    def __call__(self, chips: Chips) -> Chips:
        """Return probabilities (B, 2 x classes, rows, columns), those of the later date last."""
        dates = [self.network(np.ascontiguousarray(one)) for one in np.split(chips, 2, axis=1)]
        if self.alone:
            dates = [np.concatenate([1 - one, one], axis=1) for one in dates]
        return np.concatenate(dates, axis=1)

    @property
    def engine(self) -> str:
        """What runs the model, in words."""
        return getattr(self.network.segmenter.sam, "engine", "")


@dataclass(frozen=True)
class TwoDatesSource(LazyNetwork[TwoDatesNetwork]):
    """Load an adapter that names the pixels of one date, and ask it about two.

    Attributes:
        source: loads the network of one date.
        alone: see `TwoDatesNetwork`.
    """

    source: Callable[[], ClassNetwork]
    alone: bool

    def load(self) -> TwoDatesNetwork:
        """Load the network."""
        return TwoDatesNetwork(self.source(), self.alone)
