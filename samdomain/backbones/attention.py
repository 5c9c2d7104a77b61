"""Where queries, keys and values lie among the outputs of a fused attention layer."""

from dataclasses import dataclass

from segment_anything.modeling.image_encoder import Attention as ViTAttention
from timm.models.tiny_vit import Attention as TinyViTAttention
from torch import Tensor, nn
from torch.nn.functional import pad

from samdomain.errors import InjectionError


@dataclass(frozen=True)
class Rows:
    """Name some output channels of a layer: the same run in each of several equal groups.

    Attributes:
        groups: number of groups.
        width: channels of each group.
        start: first channel of the run, within its group.
        stop: channel after the last of the run.
    """

    groups: int
    width: int
    start: int
    stop: int

    @classmethod
    def all(cls, channels: int) -> "Rows":
        """Name all of a layer's channels."""
        return cls(1, channels, 0, channels)

    @property
    def run(self) -> int:
        """Channels of one run."""
        return self.stop - self.start

    @property
    def count(self) -> int:
        """Number of channels that are named."""
        return self.groups * self.run

    def of(self, values: Tensor, dim: int) -> Tensor:
        """Return a view of the named channels, (..., groups, run, ...).

        Args:
            values: tensor with all of a layer's channels along `dim`.
            dim: that axis, counted from the end, so negative.
        """
        grouped = values.unflatten(dim, (self.groups, self.width))
        return grouped.narrow(dim, self.start, self.run)

    def spread(self, change: Tensor, dim: int) -> Tensor:
        """Return the change of all channels: that of the named ones, and zeros.

        Args:
            change: tensor with the named channels along `dim`.
            dim: that axis, counted from the end, so negative.
        """
        if self.run == self.width:
            return change
        sides = [0, 0] * (-dim - 1) + [self.start, self.width - self.stop]
        return pad(change.unflatten(dim, (self.groups, self.run)), sides).flatten(dim - 1, dim)

    def add(self, values: Tensor, change: Tensor, dim: int) -> None:
        """Add to the named channels, in place.

        Args:
            values: tensor with all of a layer's channels along `dim`.
            change: tensor with the named channels along `dim`.
            dim: that axis, counted from the end, so negative.
        """
        self.of(values, dim).add_(change.unflatten(dim, (self.groups, self.run)))


def qkv_rows(attention: nn.Module) -> dict[str, Rows]:
    """Return where q, k and v lie in the layer `qkv` of an encoder's attention.

    SAM's ViT has three thirds, all heads of q first; TinyViT has q, k and v of each head
    side by side.

    Raises:
        InjectionError: the attention is of another kind.
    """
    if isinstance(attention, ViTAttention):
        width = attention.qkv.out_features
        third = width // 3
        return {name: Rows(1, width, i * third, (i + 1) * third) for i, name in enumerate("qkv")}
    if isinstance(attention, TinyViTAttention):
        groups, key, value = attention.num_heads, attention.key_dim, attention.val_dim
        width = 2 * key + value
        return {
            "q": Rows(groups, width, 0, key),
            "k": Rows(groups, width, key, 2 * key),
            "v": Rows(groups, width, 2 * key, width),
        }
    raise InjectionError(
        f"where q, k and v lie in a {type(attention).__name__} is not known: take the fused layer "
        "as one, by its name or as 'encoder.qkv'"
    )
