"""Bottleneck adapters: a narrow path of two layers beside the frozen attention or MLP."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from jaxtyping import Float
from segment_anything.modeling.common import MLPBlock
from segment_anything.modeling.image_encoder import Attention
from timm.models.tiny_vit import NormMlp
from torch import Tensor, nn

from samdomain.backbones.tiny_vit import WindowAttention
from samdomain.errors import InjectionError
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown
from samdomain.parts import late_modules
from samdomain.sam import Sam


class Adapter(nn.Module):
    """Map tokens through a narrow layer and back, to zero at the start.

    The way down starts as a linear layer does, biases and the way up as zeros: the first
    gradient reaches the way up, and through it what lies before.

    Args:
        dim: channels of a token.
        width: channels of the narrow layer.
        activation: applied to the narrow layer.
        scale: factor of the result.
        dropout: share of the narrow layer's values that are dropped in training.
    """

    def __init__(
        self, dim: int, width: int, activation: nn.Module, scale: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.down = nn.Linear(dim, width)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(width, dim)
        self.scale = scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Float[Tensor, "*b dim"]) -> Float[Tensor, "*b dim"]:
        """Return what is to be added."""
        return self.scale * self.up(self.dropout(self.activation(self.down(x))))


class _After(InjectedModule):
    """Add to the result of a module what an adapter makes of it."""

    adapter: Adapter

    def forward(self, x: Tensor) -> Tensor:
        result = super().forward(x)
        return result + self.adapter(result)


class _Beside(InjectedModule):
    """Add to the result of a module what an adapter makes of its input."""

    adapter: Adapter

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.adapter(x)


class AttentionThenAdapter(_After, Attention):
    """A ViT's attention with an adapter behind it."""


class WindowAttentionThenAdapter(_After, WindowAttention):
    """TinyViT's attention with an adapter behind it."""


class MLPThenAdapter(_After, MLPBlock):
    """A ViT's MLP with an adapter behind it."""


class NormMLPThenAdapter(_After, NormMlp):
    """TinyViT's normalisation and MLP with an adapter behind them."""


class MLPBesideAdapter(_Beside, MLPBlock):
    """A ViT's MLP with an adapter beside it; both read normalised tokens."""


class NormMLPBesideAdapter(InjectedModule, NormMlp):
    """TinyViT's MLP with an adapter beside it; both read what TinyViT's MLP normalises."""

    adapter: Adapter

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both."""
        return super().forward(x) + self.adapter(self.norm(x))


Slot = Mapping[type[nn.Module], type[InjectedModule]]

AFTER_ATTENTION: Slot = {
    Attention: AttentionThenAdapter,
    WindowAttention: WindowAttentionThenAdapter,
}
AFTER_MLP: Slot = {MLPBlock: MLPThenAdapter, NormMlp: NormMLPThenAdapter}
BESIDE_MLP: Slot = {MLPBlock: MLPBesideAdapter, NormMlp: NormMLPBesideAdapter}


@dataclass(frozen=True)
class Bottleneck(Injection):
    """Put a narrow trained path beside the blocks of an image encoder.

    The subclasses say where and how, each as its paper does: `Houlsby`, `AdaptFormer`,
    `MedicalAdapter`. All begin at zero, so that the output is unchanged at the start. They
    depend on their input and cannot be merged. TinyViT's first stage has neither attention nor
    MLP, and gets none.

    Attributes:
        last: put them into the encoder's last so many blocks only; the blocks before then need
            no gradients.
    """

    last: int | None = None

    @abstractmethod
    def slots(self) -> tuple[tuple[Slot, float], ...]:
        """Say which modules get an adapter, and the factor of what it adds there."""

    @abstractmethod
    def adapter(self, dim: int, scale: float) -> Adapter:
        """Make the adapter of tokens with so many channels."""

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make attentions and MLPs with adapters."""
        return dict(self._replacements(sam))

    def _replacements(self, sam: Sam) -> Iterator[tuple[str, nn.Module]]:
        late = None if self.last is None else late_modules(sam, self.last)
        for name, module in sam.named_modules():
            if not name.startswith("image_encoder.") or (late is not None and name not in late):
                continue
            for slot, scale in self.slots():
                for kind in slot:
                    if isinstance(module, kind):
                        yield name, self._with_adapter(module, slot[kind], scale)

    def _with_adapter(self, module: nn.Module, kind: type[nn.Module], scale: float) -> nn.Module:
        if isinstance(module, InjectedModule):
            return module  # taken: `inject` refuses it by name
        new = grown(module, kind)
        new.adapter = self.adapter(_channels(module), scale).to(next(module.parameters()))
        return new


@dataclass(frozen=True)
class Houlsby(Bottleneck):
    """Adapters behind the attention and behind the MLP, before what they add to the tokens.

    Attributes:
        ratio: channels of the narrow layer as a share of the token's.
        scale: factor of what an adapter adds.

    Source: Houlsby et al., Parameter-Efficient Transfer Learning for NLP (2019), section 2.1.
    """

    kind: ClassVar[str] = "houlsby"
    ratio: float = 0.25
    scale: float = 1.0

    def slots(self) -> tuple[tuple[Slot, float], ...]:
        """Take attentions and MLPs."""
        return (AFTER_ATTENTION, self.scale), (AFTER_MLP, self.scale)

    def adapter(self, dim: int, scale: float) -> Adapter:
        """Make an adapter with a GELU."""
        return Adapter(dim, _share(dim, self.ratio), nn.GELU(), scale)


@dataclass(frozen=True)
class AdaptFormer(Bottleneck):
    """Adapters beside the MLPs, which read the same normalised tokens.

    The paper's equation has the normalisation before the adapter, the authors' code lets the
    adapter read tokens that are not normalised; this follows the paper, with SAM's own frozen
    normalisation.

    Attributes:
        width: channels of the narrow layer.
        scale: factor of what an adapter adds.
        dropout: share of the narrow layer's values that are dropped in training.

    Raises:
        InjectionError: the dropout is no share.

    Source: Chen et al., AdaptFormer (2022), section 3.2.
    """

    kind: ClassVar[str] = "adaptformer"
    width: int = 64
    scale: float = 0.1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a dropout that leaves nothing."""
        if not 0 <= self.dropout < 1:
            raise InjectionError(f"dropout {self.dropout} is not a share: give 0 up to below 1")

    def slots(self) -> tuple[tuple[Slot, float], ...]:
        """Take MLPs."""
        return ((BESIDE_MLP, self.scale),)

    def adapter(self, dim: int, scale: float) -> Adapter:
        """Make an adapter with a ReLU."""
        if not 0 < self.width < dim:
            raise InjectionError(
                f"an adapter {self.width} channels wide is no bottleneck between {dim} channels: "
                f"give a width from 1 to {dim - 1}"
            )
        return Adapter(dim, self.width, nn.ReLU(), scale, self.dropout)


@dataclass(frozen=True)
class MedicalAdapter(Bottleneck):
    """Adapters behind the attentions and beside the MLPs, as Medical SAM Adapter places them.

    The published adapters start at random, so that the model differs from SAM before the first
    step; these start at zero. The published depth adapter for volumes is not here.

    Attributes:
        ratio: channels of the narrow layer as a share of the token's.
        scale: factor of what the adapter beside an MLP adds.

    Source: Wu et al., Medical SAM Adapter (2023), section 3.2.
    """

    kind: ClassVar[str] = "medical_adapter"
    ratio: float = 0.25
    scale: float = 0.5

    def slots(self) -> tuple[tuple[Slot, float], ...]:
        """Take attentions and MLPs."""
        return (AFTER_ATTENTION, 1.0), (BESIDE_MLP, self.scale)

    def adapter(self, dim: int, scale: float) -> Adapter:
        """Make an adapter with a GELU."""
        return Adapter(dim, _share(dim, self.ratio), nn.GELU(), scale)


def _share(dim: int, ratio: float) -> int:
    if not 0 < ratio < 1:
        raise InjectionError(f"ratio {ratio} makes no bottleneck: give a share between 0 and 1")
    return max(1, int(dim * ratio))


def _channels(module: nn.Module) -> int:
    if isinstance(module, Attention | WindowAttention):
        return module.qkv.in_features
    first = module.lin1 if isinstance(module, MLPBlock) else module.fc1
    return cast(nn.Linear, first).in_features
