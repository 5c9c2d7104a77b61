import copy
import json
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from samdomain import add_lora, merge
from samdomain.backbones import BACKBONES
from samdomain.errors import InjectionError
from samdomain.injection import Injection
from samdomain.lora import ConvLoRA, LoRA, balance_loss
from samdomain.parts import LAYERS, find_layers
from samdomain.sam import Sam
from samdomain.testing import tiny_sam
from samdomain.testing.injections import logits

APART = tuple(part for part in LAYERS if part not in {"encoder.qkv", "encoder.conv"})

SPECS: dict[str, Injection] = {
    "q and v": LoRA(),
    "everything apart": LoRA(APART, rank=3, alpha=5, dropout=0.1),
    "fused, rank stabilised": LoRA(("encoder.qkv",), rslora=True, alpha=8),
    "dora": LoRA(APART, dora=True),
    "last block": LoRA(last=1),
    "conv-lora": ConvLoRA(("encoder.q", "encoder.mlp", "encoder.neck"), scales=(1, 2)),
}


def trainable(sam: nn.Module) -> int:
    return sum(one.numel() for one in sam.parameters() if one.requires_grad)


@pytest.mark.contract
@pytest.mark.parametrize("name", SPECS)
def test_lora_keeps_to_the_contract(
    sam: Sam, name: str, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Every variant keeps it, on TinyViT and on ViT."""
    check_contract(sam, SPECS[name])


@pytest.mark.parametrize("dora", [False, True])
def test_lora_of_convolutions_keeps_to_the_contract(
    dora: bool, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """TinyViT's pointwise convolutions take updates, with learned lengths too."""
    check_contract(tiny_sam(), LoRA(("encoder.conv",), rank=2, dora=dora))


def test_counts_are_those_of_the_papers() -> None:
    """ViT-B has 147,456 values at rank 4 in q and v, the decoder 11,776 at rank 2."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
    add_lora(sam)
    assert trainable(sam) == 147_456
    record = add_lora(sam, ["decoder.q", "decoder.v"], rank=2)
    assert trainable(sam) == 147_456 + 11_776
    assert len(record.modules) == 14


def test_queries_and_values_are_updated_and_keys_are_not(base: Sam) -> None:
    """In the fused layer's own reshape, q and v move and k stays, for each head."""
    sam = copy.deepcopy(base)
    name, layer = next(iter(find_layers(sam, "encoder.qkv").items()))
    before = layer.weight.detach().clone()
    add_lora(sam)
    nn.init.ones_(sam.get_submodule(f"{name}.lora.q.up").weight)
    nn.init.ones_(sam.get_submodule(f"{name}.lora.v.up").weight)
    moved = (sam.get_submodule(name).merged().weight - before).abs().sum(dim=1) > 0
    attention = sam.get_submodule(name.rpartition(".")[0])
    heads = attention.num_heads
    # ViT: (q k v, heads, d); TinyViT: (heads, q k v, d)
    parts = moved.view(heads, 3, -1).transpose(0, 1) if "stages" in name else moved.view(3, -1)
    assert parts[0].all()
    assert not parts[1].any()
    assert parts[2].all()


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_read_back_from_json(name: str) -> None:
    """Files and configs hold the same value."""
    spec = SPECS[name]
    assert type(spec).from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_an_update_is_up_times_down_times_scale() -> None:
    """Alpha / rank scales B A; rsLoRA divides by the root of the rank."""
    assert LoRA(rank=4).scale == 1
    assert LoRA(rank=4, alpha=8).scale == 2
    assert LoRA(rank=4, alpha=8, rslora=True).scale == 4


def test_an_update_is_computed_by_hand(tiny: Sam) -> None:
    """The output moves by scale * B A x."""
    sam = copy.deepcopy(tiny)
    name = "mask_decoder.transformer.final_attn_token_to_image.q_proj"
    add_lora(sam, [name], rank=2, alpha=6)
    layer = sam.get_submodule(name)
    update = layer.lora["all"]
    nn.init.normal_(update.up.weight)
    x = torch.randn(5, 256)
    expected = tiny.get_submodule(name)(x) + 3 * x @ update.down.weight.T @ update.up.weight.T
    torch.testing.assert_close(layer(x), expected)


def test_only_late_blocks_build_a_graph(base: Sam) -> None:
    """What runs before the first updated block keeps no gradients, positions included."""
    sam = copy.deepcopy(base).train()
    record = add_lora(sam, last=1)
    assert len(record.modules) == 1
    block = record.modules[0].removesuffix(".attn.qkv")
    seen: list[Tensor] = []
    sam.get_submodule(block).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    result = logits(sam)
    assert not seen[0].requires_grad
    assert seen[0].grad_fn is None
    assert result.requires_grad


def test_grouped_convolutions_are_listed(tiny: Sam) -> None:
    """Depthwise convolutions get no update, and the record says so."""
    record = add_lora(copy.deepcopy(tiny), ["encoder.conv"])
    assert len(record.skipped) == 7
    assert "image_encoder.stages.1.blocks.0.local_conv.conv" in record.skipped
    assert not set(record.skipped) & set(record.modules)


def test_twenty_steps_lower_the_loss(base: Sam) -> None:
    """A toy task is learned, and merging keeps what was learned."""
    sam = copy.deepcopy(base)
    add_lora(sam, [*APART], rank=4)
    wanted = torch.zeros(1, 1, sam.spec.mask_size, sam.spec.mask_size)
    wanted[..., : sam.spec.mask_size // 2] = 1
    optimiser = torch.optim.AdamW((p for p in sam.parameters() if p.requires_grad), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = nn.functional.binary_cross_entropy_with_logits(logits(sam), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    learned = logits(sam).detach()
    torch.testing.assert_close(logits(merge(sam)), learned, rtol=1e-4, atol=1e-4)


def test_a_block_compiles_in_one_graph(base: Sam) -> None:
    """torch.compile finds no break in adapted layers, and gives the same."""
    sam = copy.deepcopy(base)
    record = add_lora(sam, ["encoder.q", "encoder.v", "encoder.mlp"], dora=True)
    block = sam.get_submodule(record.modules[0].removesuffix(".attn.qkv"))
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    tokens = torch.randn(2, 14, 14, block.attn.qkv.in_features)
    torch.testing.assert_close(compiled(tokens), block(tokens))
    compiled(tokens).square().mean().backward()
    assert block.attn.qkv.lora["q"].up.weight.grad.any()


def test_a_rank_that_does_not_fit_is_refused(tiny: Sam) -> None:
    """The layer and its largest rank are named."""
    with pytest.raises(InjectionError, match=r"rank 17 .*stages\.1.*qkv' .* at most 16"):
        add_lora(copy.deepcopy(tiny), rank=17)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (partial(LoRA, ()), "needs a list of parts"),
        (partial(LoRA, "encoder.q"), "needs a list of parts"),
        (partial(LoRA, rank=0), "rank 0"),
        (partial(LoRA, dropout=1.0), "dropout 1.0"),
        (partial(ConvLoRA, ("decoder.q",)), "works on maps"),
        (partial(ConvLoRA, dora=True), "DoRA"),
        (partial(ConvLoRA, scales=(0,)), "scales"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_values_out_of_range_are_refused(wrong: partial[LoRA], message: str) -> None:
    """A spec that no layer could take is refused before it meets a model."""
    with pytest.raises(InjectionError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ["encoder.qq"]}, "'encoder.qq' matches no layer"),
        ({"parts": ["encoder.q", "encoder.qkv"]}, "names rows of"),
        ({"last": 9}, "has 3 blocks"),
    ],
)
def test_what_the_model_has_not_is_refused(
    small_vit: Sam, options: dict[str, object], message: str
) -> None:
    """The refusal says what there is."""
    with pytest.raises(InjectionError, match=message):
        add_lora(copy.deepcopy(small_vit), **options)  # pyright: ignore[reportArgumentType]


def test_convolutions_of_a_vit_are_none(small_vit: Sam) -> None:
    """TinyViT's part is no part of ViT."""
    with pytest.raises(InjectionError, match=r"encoder\.conv"):
        add_lora(copy.deepcopy(small_vit), ["encoder.conv"])


def test_the_balance_loss_is_zero_where_experts_are_used_alike(tiny: Sam) -> None:
    """A gate that tells no expert apart is balanced; one that favours one is not."""
    sam = copy.deepcopy(tiny).train()
    ConvLoRA(("encoder.q",), scales=(1, 2), last=1)(sam)
    gate = next(m for n, m in sam.named_modules() if n.endswith(".gate"))
    noise = next(m for n, m in sam.named_modules() if n.endswith(".noise"))
    for one in (gate.weight, gate.bias, noise.weight):
        nn.init.zeros_(one)
    nn.init.constant_(noise.bias, -30)  # softplus: no noise
    logits(sam)
    assert balance_loss(sam).item() == pytest.approx(0, abs=1e-9)
    nn.init.constant_(gate.bias[:1], 50)
    logits(sam)
    # One of two experts has all the weight: the variance equals the squared mean.
    assert balance_loss(sam).item() == pytest.approx(1, rel=1e-5)


def test_the_balance_loss_needs_gates(tiny: Sam) -> None:
    """A model without Conv-LoRA has nothing to balance."""
    with pytest.raises(ValueError, match="no gate"):
        balance_loss(tiny)
