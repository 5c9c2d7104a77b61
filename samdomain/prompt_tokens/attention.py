"""Attention over frozen keys and over learned ones, silent at the start."""

import math

import torch
from jaxtyping import Float
from segment_anything.modeling.image_encoder import Attention as ViTAttention
from segment_anything.modeling.image_encoder import add_decomposed_rel_pos
from segment_anything.modeling.transformer import Attention as DecoderAttention
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.tiny_vit import WindowAttention
from samdomain.injection import InjectedModule


def gated_attention(
    queries: Float[Tensor, "b heads n d"],
    keys: Float[Tensor, "heads t d"],
    values: Float[Tensor, "heads t v"],
    gate: Float[Tensor, " heads"],
) -> Float[Tensor, "b heads n v"]:
    """Attend to learned keys with a softmax of their own, and weigh each head's result.

    A token that joined the softmax of the frozen keys would change it, whatever its value; with
    a softmax of their own and tanh(gate) as factor, learned tokens are exactly silent at gate 0.

    Args:
        queries: frozen queries, scaled already.
        keys: learned keys.
        values: learned values.
        gate: gate of each head; 0 at the start.

    Source: Zhang et al., LLaMA-Adapter (2023), section 3.2.
    """
    weights = (queries @ keys.transpose(-2, -1)).softmax(dim=-1)
    return gate.tanh()[:, None, None] * (weights @ values)


class LearnedKeys(nn.Module):
    """Hold the learned keys, values and gates of one attention of an encoder.

    Args:
        heads: attention heads.
        count: number of tokens.
        key_dim: channels of a key.
        value_dim: channels of a value.
    """

    def __init__(self, heads: int, count: int, key_dim: int, value_dim: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.randn(heads, count, key_dim))
        self.values = nn.Parameter(torch.randn(heads, count, value_dim))
        self.gate = nn.Parameter(torch.zeros(heads))

    def forward(self, queries: Float[Tensor, "b heads n d"]) -> Float[Tensor, "b heads n v"]:
        """Return what is to be added to the result of the frozen keys."""
        return gated_attention(queries, self.keys, self.values, self.gate)


class PrefixedViTAttention(InjectedModule, ViTAttention):
    """A ViT's attention over its own keys and over learned ones."""

    prefix: LearnedKeys

    def forward(self, x: Tensor) -> Tensor:
        """Attend as a ViT does, (b, h, w, c) to the same."""
        b, h, w, c = x.shape
        qkv = self.qkv(x).view(b, h * w, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.flatten(1, 2)  # each (b * heads, h * w, d)
        logits = (q * self.scale) @ k.transpose(-2, -1)
        if self.use_rel_pos:
            grid = (h, w)
            logits = add_decomposed_rel_pos(logits, q, self.rel_pos_h, self.rel_pos_w, grid, grid)
        own = (logits.softmax(dim=-1) @ v).unflatten(0, (b, self.num_heads))
        both = own + self.prefix(q.unflatten(0, (b, self.num_heads)) * self.scale)
        return self.proj(both.transpose(1, 2).reshape(b, h, w, c))


class PrefixedWindowAttention(InjectedModule, WindowAttention):
    """TinyViT's attention over its own keys and over learned ones."""

    prefix: LearnedKeys

    def forward(self, x: Tensor) -> Tensor:
        """Attend as TinyViT does within windows, (b, n, c) to the same."""
        b, n, _ = x.shape
        sizes = [self.key_dim, self.key_dim, self.val_dim]
        heads = self.qkv(self.norm(x)).view(b, n, self.num_heads, -1).transpose(1, 2)
        q, k, v = heads.split(sizes, dim=-1)  # each (b, heads, n, d)
        bias = self.get_attention_biases(x.device)
        own = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        both = own + self.prefix(q * self.scale)
        return self.proj(both.transpose(1, 2).reshape(b, n, self.out_dim))


class TokenAttention(InjectedModule, DecoderAttention):
    """The decoder's attention over its own tokens and over learned ones.

    The learned tokens are turned into keys and values by the frozen layers.
    """

    tokens: nn.Parameter  # (count, 256)
    gate: nn.Parameter

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as the decoder does, (b, n, 256) to the same."""
        queries, keys, values = (
            self._separate_heads(layer(x), self.num_heads)
            for layer, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        learned_keys, learned_values = (
            self._separate_heads(layer(self.tokens[None]), self.num_heads)[0]
            for layer in (self.k_proj, self.v_proj)
        )
        root = math.sqrt(queries.shape[-1])
        own = (queries @ keys.transpose(-2, -1) / root).softmax(dim=-1) @ values
        learned = gated_attention(queries / root, learned_keys, learned_values, self.gate)
        return self.out_proj(self._recombine_heads(own + learned))
