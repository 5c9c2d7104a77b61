from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from samdomain import Prompts, add_prompt_tokens, decode, encode, load_sam
from samdomain.adapters import AdaptFormer, Houlsby
from samdomain.backbones import BACKBONES
from samdomain.errors import InjectionError, MergeError
from samdomain.injection import Injection, injections, merge
from samdomain.modules import match
from samdomain.prompt_tokens import Prefix, PromptTokens
from samdomain.prompt_tokens.attention import PrefixedViTAttention, TokenAttention
from samdomain.sam import Sam


def open_gates(sam: Sam) -> None:
    with torch.no_grad():
        for name, one in sam.named_parameters():
            if name.endswith("gate"):
                one.fill_(0.5)


@pytest.mark.parametrize("tokens", [PromptTokens(4), Prefix(4)], ids=lambda one: one.kind)
def test_tokens_keep_to_the_contract(
    sam: Sam, tokens: Injection, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Tokens are silent at first, train alone, and lower a loss in 20 steps."""
    check_contract(sam, tokens)


def test_the_decoder_has_tokens_where_tokens_are_keys() -> None:
    """Four attentions with 8 tokens of 256 channels and a gate for each of 8 heads."""
    sam = load_sam("tiny")
    record = add_prompt_tokens(sam)
    assert record.modules == tuple(
        f"mask_decoder.transformer.layers.{layer}.{name}"
        for layer in (0, 1)
        for name in ("self_attn", "cross_attn_image_to_token")
    )
    assert sum(one.numel() for one in sam.parameters() if one.requires_grad) == 4 * (8 * 256 + 8)


def test_tokens_take_the_place_of_a_prompt() -> None:
    """With no prompt given, open tokens change the mask, and the same for a batch as alone."""
    sam = load_sam("tiny")
    add_prompt_tokens(sam)
    with torch.no_grad():
        embedding = encode(sam, torch.rand(2, 3, 64, 64) * 255)
        silent = decode(sam, embedding, Prompts.null(2)).low_res
        open_gates(sam)
        moved = decode(sam, embedding, Prompts.null(2)).low_res
        alone = decode(sam, embedding[1], Prompts.null(1)).low_res
    assert (moved - silent).abs().max() > 1e-3
    torch.testing.assert_close(moved[1:], alone, rtol=1e-5, atol=1e-5)


def test_a_token_is_read_as_a_prompt_token_would_be() -> None:
    """An open head adds what the frozen layers make of a token that is alone in its softmax."""
    sam = load_sam("tiny")
    attention = sam.mask_decoder.transformer.layers[1].self_attn
    queries = torch.randn(1, 3, 256)
    before = attention(queries, queries, queries)
    add_prompt_tokens(sam, PromptTokens(1))
    attention = match(sam, ["*layers.1.self_attn"], TokenAttention)
    (new,) = attention.values()
    with torch.no_grad():
        new.gate.fill_(torch.inf)
    value = new.v_proj(new.tokens) @ new.out_proj.weight.T
    torch.testing.assert_close(new(queries, queries, queries), before + value[None])


def test_prefixes_of_vit_b_count_by_hand() -> None:
    """Eight keys and values of 768 channels and twelve gates in each of twelve blocks."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
        add_prompt_tokens(sam, Prefix())
    count = sum(one.numel() for one in sam.parameters() if one.requires_grad)
    assert count == 12 * (8 * (768 + 768) + 12)


def test_an_open_prefix_adds_its_value(vit: Sam) -> None:
    """A single learned key has weight 1: its value reaches every token, head by head."""
    tokens = torch.randn(2, 4, 4, 32)
    before = vit.image_encoder.blocks[1].attn(tokens)
    add_prompt_tokens(vit, Prefix(1))
    (_, new) = match(vit, ["*"], PrefixedViTAttention).values()
    with torch.no_grad():
        new.prefix.gate.fill_(torch.inf)
    added = new.prefix.values.flatten() @ new.proj.weight.T
    torch.testing.assert_close(new(tokens), before + added, rtol=1e-4, atol=1e-4)


def test_an_open_prefix_adds_its_value_in_windows() -> None:
    """The same on TinyViT's windows, and the grid stays as it is."""
    sam = load_sam("tiny")
    before: Tensor = encode(sam, torch.ones(3, 64, 64)).main
    (first, *_) = add_prompt_tokens(sam, Prefix(1)).modules
    new = sam.get_submodule(first)
    with torch.no_grad():
        windows = torch.randn(2, 49, 16)
        silent = new(windows)
        new.prefix.gate.fill_(torch.inf)
        added = new.prefix.values.flatten() @ new.proj.weight.T
        torch.testing.assert_close(new(windows), silent + added)
        assert encode(sam, torch.ones(3, 64, 64)).main.shape == before.shape


def test_prefixes_of_the_last_blocks_leave_the_others_alone(vit: Sam) -> None:
    """`last` counts blocks from the end."""
    assert Prefix(2, last=1)(vit).modules == ("image_encoder.blocks.1.attn",)


def test_tokens_and_adapters_go_together_where_their_places_differ() -> None:
    """AdaptFormer stands beside MLPs and leaves attentions free; Houlsby does not."""
    sam = load_sam("tiny")
    AdaptFormer(width=4)(sam)
    add_prompt_tokens(sam)
    add_prompt_tokens(sam, Prefix(2))
    assert len(injections(sam)) == 3
    with pytest.raises(InjectionError, match="holds a PrefixedWindowAttention already"):
        Houlsby()(sam)


@pytest.mark.parametrize("tokens", [PromptTokens(), Prefix()], ids=lambda one: one.kind)
def test_tokens_refuse_to_merge(tokens: Injection) -> None:
    """What depends on the input has no plain weights."""
    sam = load_sam("tiny")
    tokens(sam)
    with pytest.raises(MergeError, match="depends on its input"):
        merge(sam)


@pytest.mark.parametrize("tokens", [PromptTokens(0), Prefix(0)], ids=lambda one: one.kind)
def test_no_tokens_are_refused(tokens: Injection) -> None:
    """Nothing would train."""
    with pytest.raises(InjectionError, match="0 tokens are none"):
        tokens(load_sam("tiny"))


def test_a_decoder_of_another_kind_is_refused(vit: Sam) -> None:
    """The places that tokens need are named."""
    vit.mask_decoder.transformer = nn.Identity()
    with pytest.raises(InjectionError, match=r"matches no Attention module"):
        add_prompt_tokens(vit)
