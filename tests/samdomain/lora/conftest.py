import pytest
import torch
from torch import nn

from samdomain.backbones.sam_vit import SamViTShape, build_sam_vit
from samdomain.sam import Sam, SamSpec


@pytest.fixture(scope="session")
def small_vit() -> Sam:
    """SAM's ViT, small and full of noise; shared, so no test may change it."""
    shape = SamViTShape(dim=32, depth=3, heads=2, global_blocks=(1,), native_size=64)
    spec = SamSpec(name="small_vit", input_size=64, embedding_stride=16, mask_size=16)
    sam = build_sam_vit(spec, shape, mlp_dim=64).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in sam.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return sam


@pytest.fixture(params=["tiny", "small_vit"])
def base(request: pytest.FixtureRequest) -> Sam:
    """A TinyViT and a ViT; shared, so no test may change them."""
    return request.getfixturevalue(request.param)
