from collections.abc import Callable

import pytest
import torch
from torch import nn

from samdomain import add_adapter, load_sam
from samdomain.adapters import AdaptFormer, Bottleneck, Houlsby, MedicalAdapter
from samdomain.adapters.bottleneck import Adapter
from samdomain.backbones import BACKBONES
from samdomain.errors import InjectionError, MergeError
from samdomain.injection import Injection, injections, merge
from samdomain.sam import Sam

ADAPTERS = [Houlsby(), AdaptFormer(width=4), MedicalAdapter()]


def added_values(sam: Sam) -> int:
    return sum(one.numel() for one in sam.parameters() if one.requires_grad)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda one: one.kind)
def test_adapters_keep_to_the_contract(
    sam: Sam, adapter: Bottleneck, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Adapters are silent at first, train alone, and lower a loss in 20 steps."""
    check_contract(sam, adapter)


def test_an_adapter_is_down_activation_up_and_scale() -> None:
    """By hand: 3 up-weights of 2 on relu(1 * 3 - 1 * 1 + 0) at scale .5 give 2 each."""
    adapter = Adapter(2, 1, nn.ReLU(), scale=0.5)
    assert adapter(torch.tensor([[3.0, 1.0]])).tolist() == [[0, 0]]
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, -1.0]]))
        adapter.up.weight.fill_(2)
    assert adapter(torch.tensor([[3.0, 1.0], [1.0, 3.0]])).tolist() == [[2, 2], [0, 0]]


def test_medical_adapters_of_vit_b_have_as_many_values_as_the_published() -> None:
    """Two adapters of a quarter in each of twelve blocks are 7,100,928 values."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
        MedicalAdapter()(sam)
    assert added_values(sam) == 12 * 2 * (768 * 192 * 2 + 192 + 768) == 7_100_928


def test_adaptformer_of_vit_b_counts_by_hand() -> None:
    """One adapter of 64 channels in each of twelve blocks."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
        AdaptFormer()(sam)
    assert added_values(sam) == 12 * (768 * 64 * 2 + 64 + 768)


def test_medical_adapters_stand_behind_attention_and_beside_the_mlp(vit: Sam) -> None:
    """Behind attention the factor is 1, beside the MLP it is .5, read before the MLP."""
    block = vit.image_encoder.blocks[0]
    tokens = torch.randn(1, 4, 4, 32)
    attended, mixed = block.attn(tokens), block.mlp(tokens)
    record = add_adapter(vit, MedicalAdapter())
    assert record.modules[:2] == ("image_encoder.blocks.0.attn", "image_encoder.blocks.0.mlp")
    block = vit.image_encoder.blocks[0]
    for module in (block.attn, block.mlp):
        nn.init.ones_(module.adapter.up.bias)
    torch.testing.assert_close(block.attn(tokens), attended + 1)
    torch.testing.assert_close(block.mlp(tokens), mixed + 0.5)
    nn.init.normal_(block.mlp.adapter.up.weight)
    parallel = mixed + block.mlp.adapter(tokens)
    torch.testing.assert_close(block.mlp(tokens), parallel)


def test_houlsby_adapters_read_what_the_mlp_gives(vit: Sam) -> None:
    """The adapter behind the MLP sees its result, and not its input."""
    mixed = vit.image_encoder.blocks[1].mlp(torch.ones(1, 32))
    add_adapter(vit)
    mlp = vit.image_encoder.blocks[1].mlp
    nn.init.normal_(mlp.adapter.up.weight)
    torch.testing.assert_close(mlp(torch.ones(1, 32)), mixed + mlp.adapter(mixed))


def test_adapters_of_late_blocks_need_no_graph_of_the_early_ones(vit: Sam) -> None:
    """With `last`, no gradient is kept for the blocks before."""
    Houlsby(last=1)(vit)
    tokens = vit.image_encoder.place(vit.image_encoder.patches(torch.rand(1, 3, 64, 64)))
    early = vit.image_encoder.blocks[0](tokens)
    assert not early.requires_grad
    assert vit.image_encoder.blocks[1](early).requires_grad


def test_the_convolutional_stage_of_tiny_vit_gets_none() -> None:
    """TinyViT's first stage has no attention and no MLP."""
    record = Houlsby()(load_sam("tiny"))
    assert not any("stages.0." in name for name in record.modules)
    assert len(record.modules) == 3 * 2


def test_adapters_refuse_to_merge_by_name() -> None:
    """No plain module equals an adapter, and the model stays as it was."""
    sam = load_sam("tiny")
    Houlsby()(sam)
    with pytest.raises(MergeError, match=r"blocks\.0\.attn: .* depends on its input"):
        merge(sam)
    assert len(injections(sam)) == 1


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (AdaptFormer(), "64 channels wide is no bottleneck between 16 channels"),
        (Houlsby(ratio=1.5), "ratio 1.5 makes no bottleneck"),
        (Houlsby(last=9), "the encoder has 4 blocks"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(adapter: Bottleneck, message: str) -> None:
    """The model is as it was."""
    sam = load_sam("tiny")
    with pytest.raises(InjectionError, match=message):
        adapter(sam)
    assert injections(sam) == ()


def test_a_second_adapter_at_the_same_place_is_refused() -> None:
    """The place is named; an adapter elsewhere is welcome."""
    sam = load_sam("tiny")
    AdaptFormer(width=4)(sam)
    with pytest.raises(InjectionError, match=r"blocks\.0\.mlp' holds a NormMLPBesideAdapter"):
        MedicalAdapter()(sam)
