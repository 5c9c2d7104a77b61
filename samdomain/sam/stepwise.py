"""An image encoder that runs step by step, so that a frozen beginning can be computed once."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

Features = tuple[Tensor, Mapping[int, Tensor]]
"""What stands between two steps: the current map, and the encoder's own maps by stride so far."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an encoder.

    Attributes:
        run: turns what the steps before left into what the next one takes.
        owned: modules and parameters that the step computes with.
    """

    run: Callable[[Features], Features]
    owned: tuple[nn.Module | nn.Parameter, ...]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that the step computes with."""
        for one in self.owned:
            yield from one.parameters() if isinstance(one, nn.Module) else (one,)

    def tensors(self) -> Iterator[Tensor]:
        """Yield all that decides the step's result: parameters and buffers."""
        yield from self.parameters()
        for one in self.owned:
            if isinstance(one, nn.Module):
                yield from one.buffers()


class StepwiseEncoder(nn.Module, ABC):
    """Run an image encoder as the steps that it is made of."""

    @property
    @abstractmethod
    def level_channels(self) -> Mapping[int, int]:
        """Channels of the encoder's own maps, by their stride in input pixels."""

    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """Return the encoder's steps in order, over the modules that it holds now.

        The first takes pixels (B, C, S, S) and no maps; the last leaves the embedding.
        """

    def forward(
        self, pixels: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b d h w"], dict[int, Float[Tensor, "b _ _ _"]]]:
        """Return the embedding, and the encoder's own maps by their stride in input pixels.

        Args:
            pixels: images after `samdomain.sam.encoding.normalise`, padded to a square.
        """
        features: Features = (pixels, {})
        for step in self.steps():
            features = step.run(features)
        main, levels = features
        return main, dict(levels)


def apply(module: Callable[[Tensor], Tensor], *owned: nn.Module | nn.Parameter) -> Step:
    """Return a step that runs a module, or a function over modules, on the current map.

    Args:
        module: module, or a function of what it owns.
        owned: what the function computes with; the module itself by default.
    """

    def run(features: Features) -> Features:
        x, levels = features
        return module(x), levels

    return Step(run, owned or ((module,) if isinstance(module, nn.Module) else ()))


def keep(stride: int, view: Callable[[Tensor], Tensor]) -> Step:
    """Return a step that keeps a view (B, C, H, W) of the current map as the map at a stride."""

    def run(features: Features) -> Features:
        x, levels = features
        return x, {**levels, stride: view(x)}

    return Step(run, ())
