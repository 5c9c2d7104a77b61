"""Load a network once where it is, and once wherever it is sent."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Generic, TypeVar

Network = TypeVar("Network")


class LazyNetwork(ABC, Generic[Network]):
    """Name a network by what it is loaded from: that travels to other processes, it does not."""

    @abstractmethod
    def load(self) -> Network:
        """Load the network."""

    def __call__(self) -> Network:
        """Return the network; loaded at the first call."""
        return self._network

    @cached_property
    def _network(self) -> Network:
        return self.load()

    def __getstate__(self) -> dict[str, object]:
        """Leave the network behind: each process loads its own."""
        return {name: value for name, value in vars(self).items() if name != "_network"}
