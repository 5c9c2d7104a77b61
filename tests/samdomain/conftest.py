"""Fresh models to change, and what every injection has to keep to."""

import copy
import json
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain import Prompts, decode, encode, load_sam
from samdomain.backbones.sam_vit import SamViTShape, build_sam_vit
from samdomain.injection import Injection, injections
from samdomain.sam import Sam, SamSpec
from samdomain.weights import REGISTRY

VIT_SHAPE = SamViTShape(dim=32, depth=2, heads=2, global_blocks=(1,), native_size=64)
VIT_SPEC = SamSpec(name="small_vit", input_size=64, embedding_stride=16, mask_size=16)


def make_vit() -> Sam:
    """A SAM with a ViT of two blocks, its parameters filled with noise."""
    sam = build_sam_vit(VIT_SPEC, VIT_SHAPE, mlp_dim=64).eval()
    for parameter in sam.parameters():
        nn.init.normal_(parameter, std=0.2)
    return sam


def make_litemedsam() -> Sam:
    if REGISTRY["litemedsam"].source.locate() is None:
        pytest.skip("the extra 'embedded' is not installed")
    return load_sam("litemedsam", input_size=64)


MAKERS: dict[str, Callable[[], Sam]] = {
    "tiny": lambda: load_sam("tiny"),
    "vit": make_vit,
    "litemedsam": make_litemedsam,
}


# Half precision is emulated on most CPUs: on real weights a check takes minutes.
KINDS = ["tiny", "vit", pytest.param("litemedsam", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def sam(request: pytest.FixtureRequest) -> Sam:
    """A model of each kind, at an input of 64 pixels; the test may change it."""
    return MAKERS[request.param]()


@pytest.fixture
def vit() -> Sam:
    """A small ViT; the test may change it."""
    return make_vit()


def low_res(sam: Sam) -> Tensor:
    """Logits of one box in one image of as many bands as the spec says, the first the same."""
    generator = torch.Generator().manual_seed(0)
    bands = torch.rand((8, 48, 64), generator=generator) * 255
    embedding = encode(sam, bands[: sam.spec.input_channels])
    return decode(sam, embedding, Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))).low_res


def fit(sam: Sam, steps: int = 20, rate: float = 1e-2) -> list[float]:
    """Fit what trains to one mask; return the loss before each step and after the last."""
    trained = [one for one in sam.parameters() if one.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=rate)
    target = torch.zeros(sam.spec.mask_size, sam.spec.mask_size)
    target[: sam.spec.mask_size // 2] = 1
    losses: list[float] = []
    sam.train()
    for _ in range(steps + 1):
        loss = F.binary_cross_entropy_with_logits(low_res(sam)[0, 0], target)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    sam.eval()
    return losses


def check(sam: Sam, injection: Injection) -> None:
    """Check what every injection keeps to; the model is changed and trained by it."""
    assert type(injection).from_json(json.loads(json.dumps(injection.to_json()))) == injection
    state = copy.deepcopy(sam.state_dict())
    with torch.no_grad():
        before = low_res(sam)
        with torch.autocast("cpu", torch.bfloat16):
            half = low_res(sam)
    record = injection(sam)
    with torch.no_grad():
        torch.testing.assert_close(low_res(sam), before, rtol=0, atol=0)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(low_res(sam), half, rtol=0, atol=0)
    trained = {name for name, one in sam.named_parameters() if one.requires_grad}
    assert trained == set(record.added)
    owned = {id(one) for step in sam.image_encoder.steps() for one in step.parameters()}
    assert {id(one) for one in sam.image_encoder.parameters()} == owned
    result = sam.load_state_dict(state, strict=False)
    assert result.unexpected_keys == []
    assert set(result.missing_keys) == set(record.added)
    losses = fit(sam, steps=20 if sam.spec.name == "small_vit" else 4)  # for speed
    assert losses[-1] < losses[0]
    adapted = sam.state_dict()
    changed = {key for key, one in state.items() if not torch.equal(adapted[key], one)}
    assert changed == set()
    with torch.no_grad():
        after = low_res(sam)
        for copied in (copy.deepcopy(sam), pickle.loads(pickle.dumps(sam))):
            assert injections(copied) == (record,)
            torch.testing.assert_close(low_res(copied), after, rtol=0, atol=0)


@pytest.fixture
def check_contract() -> Callable[[Sam, Injection], None]:
    """What every injection keeps to: silent, alone in training, base keys, copies."""
    return check


@pytest.fixture
def logits() -> Callable[[Sam], Tensor]:
    """Logits of one box in one image."""
    return low_res
