from dataclasses import replace

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT
from torch import nn

from samdomain.backbones import BACKBONES, recognise
from samdomain.backbones.sam_vit import SamViT, SamViTShape, build_sam_vit
from samdomain.errors import InputError
from samdomain.sam import Prompts, Sam, SamSpec, decode, encode
from samdomain.testing import check_sam

SHAPE = SamViTShape(dim=32, depth=2, heads=2, global_blocks=(1,), native_size=64)
SPEC = SamSpec(name="small_vit", input_size=64, embedding_stride=16, mask_size=16)
# Counted from segment-anything's own modules: encoder, prompt encoder, decoder.
COUNTS = {
    "sam_vit_b": (89_670_912, 6_220, 4_058_340),
    "sam_vit_l": (308_278_272, 6_220, 4_058_340),
    "sam_vit_h": (637_026_048, 6_220, 4_058_340),
}


def spread(module: nn.Module) -> None:
    """Fill every parameter with noise: SAM's position tables begin as zeros."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)


@pytest.fixture
def encoder() -> SamViT:
    encoder = SamViT(SHAPE).eval()
    spread(encoder)
    return encoder


@pytest.fixture
def sam() -> Sam:
    sam = build_sam_vit(SPEC, SHAPE, mlp_dim=64).eval()
    spread(sam)
    return sam


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    """Encoder, prompt encoder and decoder have as many parameters as SAM's own."""
    with torch.device("meta"):
        sam = BACKBONES[name].build(BACKBONES[name].spec)
    parts = (sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)
    assert tuple(count(part) for part in parts) == COUNTS[name]


def test_vit_b_counts_what_the_digest_of_methods_counts() -> None:
    """ViT-B has 93,735,472 parameters; positions and neck have their share."""
    with torch.device("meta"):
        sam = BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec)
    encoder = sam.image_encoder
    relative = [p.numel() for name, p in encoder.named_parameters() if "rel_pos" in name]
    assert count(sam) == 93_735_472
    assert encoder.pos_embed.numel() == 3_145_728
    assert sum(relative) == 92_672
    assert count(encoder.neck) == 787_456


@pytest.mark.parametrize("name", ["sam_vit_b", "sam_vit_l", "sam_vit_h"])
def test_published_layouts_are_recognised(name: str) -> None:
    """The state dict of segment-anything's own model is told by its keys and shapes."""
    with torch.device("meta"):
        published = sam_model_registry[name.removeprefix("sam_")]().state_dict()
    backbone = recognise(published)
    assert backbone.spec.name == name
    assert backbone.read(published).keys() == published.keys()


def test_spec_is_sams_own() -> None:
    """Statistics, sizes and prompts are those that segment-anything builds with."""
    spec = BACKBONES["sam_vit_b"].spec
    with torch.device("meta"):
        published = sam_model_registry["vit_b"]()
    assert (spec.input_size, spec.embedding_size, spec.mask_size) == (1024, 64, 256)
    assert published.image_encoder.img_size == spec.input_size
    assert spec.prompts == {"box", "point", "mask"}
    assert replace(spec, name="mobile_sam") == BACKBONES["mobile_sam"].spec


def test_native_size_equals_the_stock_encoder_bit_for_bit(encoder: SamViT) -> None:
    """At the native size the embedding is segment-anything's, to the last bit."""
    stock = ImageEncoderViT(
        img_size=64,
        embed_dim=32,
        depth=2,
        num_heads=2,
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=(1,),
        norm_layer=lambda dim: nn.LayerNorm(dim, eps=1e-6),
    ).eval()
    stock.load_state_dict(encoder.state_dict())
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(encoder(pixels)[0], stock(pixels))


@pytest.mark.parametrize("size", [16, 48, 64, 96, 256])
def test_other_sizes_are_finite_and_shaped(encoder: SamViT, size: int) -> None:
    """Any multiple of 16 gives maps of a sixteenth of its side, windows padded or not."""
    with torch.no_grad():
        main, levels = encoder(torch.randn(1, 3, size, size))
    assert main.shape == (1, 256, size // 16, size // 16)
    assert {s: level.shape for s, level in levels.items()} == {16: (1, 32, size // 16, size // 16)}
    assert main.isfinite().all()


def test_the_level_is_the_map_before_the_neck(encoder: SamViT) -> None:
    """The neck takes the level to the embedding."""
    with torch.no_grad():
        main, levels = encoder(torch.randn(1, 3, 64, 64))
        assert torch.equal(encoder.neck(levels[16]), main)


def test_a_constant_position_embedding_stays_constant(encoder: SamViT) -> None:
    """Resampling brings in no value of its own: blank positions equal none at every size."""
    pixels = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        encoder.pos_embed.zero_()
        expected = encoder(pixels)[0]
        encoder.pos_embed.fill_(0.5)
        encoder.patch_embed.proj.bias.sub_(0.5)
        assert torch.allclose(encoder(pixels)[0], expected, atol=1e-4)


def test_the_position_embedding_learns_at_another_size(encoder: SamViT) -> None:
    """Gradients pass through the resampling to all of the checkpoint's positions."""
    encoder(torch.randn(1, 3, 128, 128))[0].square().sum().backward()
    assert (encoder.pos_embed.grad.abs().sum(dim=-1) > 0).all()


def test_sides_that_are_no_multiple_of_the_patch_are_refused(encoder: SamViT) -> None:
    """50 pixels are no whole number of patches."""
    with pytest.raises(InputError, match=r"50 x 50 pixels.*multiples of 16"):
        encoder(torch.zeros(1, 3, 50, 50))


@pytest.mark.contract
@pytest.mark.parametrize("size", [64, 96])
def test_a_small_vit_keeps_the_contract(size: int) -> None:
    """A SAM with a ViT passes the check of every backbone, at its own size and at another."""
    sam = build_sam_vit(SPEC.at(size), SHAPE, mlp_dim=64).eval()
    spread(sam)
    check_sam(sam)


def test_every_prompt_works_at_another_size(sam: Sam) -> None:
    """Boxes, clicks and masks decode to logits of the new size from the same weights."""
    larger = build_sam_vit(SPEC.at(96), SHAPE, mlp_dim=64).eval()
    larger.load_state_dict(sam.state_dict())
    prompts = Prompts(
        boxes=torch.tensor([[2.0, 3, 40, 30]]),
        points=torch.tensor([[[10.0, 10]]]),
        labels=torch.ones(1, 1, dtype=torch.long),
        masks=torch.zeros(1, 24, 24),
    )
    with torch.no_grad():
        prediction = decode(larger, encode(larger, torch.rand(3, 60, 80) * 255), prompts)
    assert prediction.low_res.shape == (1, 1, 24, 24)
    assert prediction.logits.shape == (1, 1, 60, 80)
    assert prediction.logits.isfinite().all()
