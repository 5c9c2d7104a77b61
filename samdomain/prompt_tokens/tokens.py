"""Learned tokens beside those that the frozen decoder and encoder attend to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from segment_anything.modeling.image_encoder import Attention as ViTAttention
from segment_anything.modeling.transformer import Attention as DecoderAttention
from torch import nn

from samdomain.backbones.tiny_vit import WindowAttention
from samdomain.errors import InjectionError, InputError
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown, match
from samdomain.parts import late_modules
from samdomain.prompt_tokens.attention import (
    LearnedKeys,
    PrefixedViTAttention,
    PrefixedWindowAttention,
    TokenAttention,
)
from samdomain.sam import Sam

# Where tokens are keys: tokens read tokens, and the image reads tokens.
_TOKENS_ARE_KEYS = (
    "mask_decoder.transformer.layers.*.self_attn",
    "mask_decoder.transformer.layers.*.cross_attn_image_to_token",
)


@dataclass(frozen=True)
class PromptTokens(Injection):
    """Learn sparse tokens for the decoder, beside those of clicks and boxes or of none.

    Each attention of the decoder in which tokens are keys (SAM has four) has its own, as deep
    prompt tuning has for each layer: the decoder's tokens and the image read them, through the
    frozen layers and a gate for each head. Unlike SAM's own prompts they do not read in turn.
    This is the price of a start that changes no bit: SAM's tokens share one softmax with any
    token that is appended, and even a token of zeros would change every mask. With no prompt
    given they take the prompt's place. They cannot be merged.

    Attributes:
        count: number of tokens of 256 channels in each attention.

    Source: Jia et al., Visual Prompt Tuning (2022), section 3.2; Zhang et al., LLaMA-Adapter
    (2023), section 3.2, for the gate.
    """

    kind: ClassVar[str] = "prompt_tokens"
    count: int = 8

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the decoder's attentions with tokens."""
        _check_count(self.count)
        try:
            found = match(sam, _TOKENS_ARE_KEYS, DecoderAttention)
        except InputError as error:
            raise InjectionError(str(error)) from error
        return {name: self._with_tokens(attention) for name, attention in found.items()}

    def _with_tokens(self, attention: DecoderAttention) -> nn.Module:
        if isinstance(attention, InjectedModule):
            return attention  # taken: `inject` refuses it by name
        new = grown(attention, TokenAttention)
        like = attention.k_proj.weight
        # The size of SAM's own prompt embeddings, which begin likewise.
        new.tokens = nn.Parameter(torch.randn(self.count, attention.embedding_dim).to(like))
        new.gate = nn.Parameter(torch.zeros(attention.num_heads).to(like))
        return new


@dataclass(frozen=True)
class Prefix(Injection):
    """Learn keys and values for the attentions of the encoder, global and windowed.

    Every window reads the same learned keys, through a softmax of their own and a gate for each
    head that is zero at the start. The grid of the embedding stays as it is. They cannot be
    merged.

    Attributes:
        count: number of keys in each attention.
        last: put them into the encoder's last so many blocks only; the blocks before then need
            no gradients.

    Source: Li and Liang, Prefix-Tuning (2021); Zhang et al., LLaMA-Adapter (2023), section 3.2,
    for the gate.
    """

    kind: ClassVar[str] = "prefix"
    count: int = 8
    last: int | None = None

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the encoder's attentions with learned keys and values."""
        _check_count(self.count)
        return dict(self._replacements(sam))

    def _replacements(self, sam: Sam) -> Iterator[tuple[str, nn.Module]]:
        late = None if self.last is None else late_modules(sam, self.last)
        for name, module in sam.named_modules():
            inside = name.startswith("image_encoder.") and (late is None or name in late)
            if inside and isinstance(module, ViTAttention | WindowAttention):
                yield name, self._with_prefix(module)

    def _with_prefix(self, attention: ViTAttention | WindowAttention) -> nn.Module:
        if isinstance(attention, InjectedModule):
            return attention  # taken: `inject` refuses it by name
        heads = attention.num_heads
        if isinstance(attention, WindowAttention):
            new = grown(attention, PrefixedWindowAttention)
            prefix = LearnedKeys(heads, self.count, attention.key_dim, attention.val_dim)
        else:
            new = grown(attention, PrefixedViTAttention)
            width = attention.proj.in_features // heads
            prefix = LearnedKeys(heads, self.count, width, width)
        new.prefix = prefix.to(attention.qkv.weight)
        return new


def _check_count(count: int) -> None:
    if count < 1:
        raise InjectionError(f"{count} tokens are none: give 1 or more, as 8")
