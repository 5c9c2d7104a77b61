"""Fresh models to change, what every injection has to keep to, and a disk that fills up."""

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jaxtyping
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain import Prompts, decode, encode, load_sam
from samdomain.adapter_file import load_adapter, save_adapter
from samdomain.adapters import HighFrequencyPrompt
from samdomain.backbones import BACKBONES
from samdomain.backbones.sam_vit import SamViTShape, build_sam_vit
from samdomain.classes import classify
from samdomain.injection import Injection, injections
from samdomain.lora import ConvLoRA
from samdomain.sam import Sam, SamSpec
from samdomain.testing import check_compiled, check_injection, move_trained
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


def make_vit_b() -> Sam:
    """SAM's own ViT-B with random weights."""
    torch.manual_seed(0)
    return BACKBONES["sam_vit_b"].build(BACKBONES["sam_vit_b"].spec.at(64)).eval()


MAKERS: dict[str, Callable[[], Sam]] = {
    "tiny": lambda: load_sam("tiny"),
    "vit": make_vit,
    "vit_b": make_vit_b,
    "litemedsam": make_litemedsam,
}


# Half precision is emulated on most CPUs: at real sizes a check takes minutes.
KINDS = ["tiny", "vit", *(pytest.param(k, marks=pytest.mark.slow) for k in ("vit_b", "litemedsam"))]


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


def check_file(sam: Sam, injection: Injection, folder: Path) -> None:
    """Check that JSON and the adapter's folder carry an injection and what it learned."""
    assert type(injection).from_json(json.loads(json.dumps(injection.to_json()))) == injection
    adapted = copy.deepcopy(sam)
    injection(adapted)
    move_trained(adapted)
    save_adapter(adapted, folder)
    loaded = load_adapter(folder, copy.deepcopy(sam)).sam
    assert [one.injection for one in injections(loaded)] == [injection]
    assert loaded.spec == adapted.spec
    with torch.no_grad():
        assert torch.equal(low_res(loaded), low_res(adapted))


def check_training(sam: Sam, injection: Injection) -> None:
    """Check that training changes what was added, and nothing else; the model is changed."""
    state = copy.deepcopy(sam.state_dict())
    with torch.no_grad():
        before = low_res(sam)
        with torch.autocast("cpu", torch.bfloat16):
            half = low_res(sam)
    injection(sam)
    if not getattr(injection, "dora", False):  # which adds the bias apart, and rounds anew
        with torch.no_grad():
            torch.testing.assert_close(low_res(sam), before, rtol=0, atol=0)
            with torch.autocast("cpu", torch.bfloat16):
                torch.testing.assert_close(low_res(sam), half, rtol=0, atol=0)
    owned = {id(one) for step in sam.image_encoder.steps() for one in step.parameters()}
    assert {id(one) for one in sam.image_encoder.parameters()} == owned
    losses = fit(sam, steps=20 if sam.spec.name == "small_vit" else 4)  # for speed
    assert losses[-1] < losses[0]
    adapted = sam.state_dict()
    assert [key for key, one in state.items() if not torch.equal(adapted[key], one)] == []


def compile_it(sam: Sam, injection: Injection) -> None:
    """Check that an injection compiles, as far as Dynamo gets past the shape checker."""
    # Experts are chosen by value; a whole encoder makes objects that the checker wraps.
    one_graph = not isinstance(injection, ConvLoRA | HighFrequencyPrompt)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        warnings.simplefilter("ignore")  # Dynamo looks at the gradients of what has none
        check_compiled(sam, injection, one_graph=one_graph)


def class_logits(sam: Sam) -> Tensor:
    """Logits of all classes of one image."""
    generator = torch.Generator().manual_seed(0)
    return classify(sam, encode(sam, torch.rand((3, 48, 64), generator=generator) * 255)).low_res


@pytest.fixture
def ask_classes() -> Callable[[Sam], Tensor]:
    """What a model with a head of classes is asked."""
    return class_logits


@pytest.fixture
def check_contract(tmp_path: Path) -> Callable[[Sam, Injection], None]:
    """What every injection keeps to: `check_injection`, one graph, files, and training."""

    def check(sam: Sam, injection: Injection) -> None:
        check_injection(sam, injection)
        if sam.spec.name != "small_vit":  # ViT-B has the same classes, and all the time it wants
            compile_it(sam, injection)
        check_file(sam, injection, tmp_path / "adapter")
        check_training(sam, injection)

    return check


@pytest.fixture
def small_disk() -> Callable[[], AbstractContextManager[None]]:
    """A disk on which no file can have more than 4 KB, as long as the block runs."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def logits() -> Callable[[Sam], Tensor]:
    """Logits of one box in one image."""
    return low_res
