import pickle
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from samdomain.acceleration import AcceleratedSam, accelerate, snapshot
from samdomain.acceleration.engines import TorchEngine
from samdomain.acceleration.openvino_engine import OpenVinoEngine
from samdomain.backbones.decoder import MaskDecoder
from samdomain.errors import InputError
from samdomain.sam import Prompts, Sam, decode, encode
from samdomain.testing import check_sam, tiny_sam

ENGINES = [
    pytest.param(TorchEngine, id="torch"),
    pytest.param(
        OpenVinoEngine,
        id="openvino",
        marks=pytest.mark.skipif(find_spec("openvino") is None, reason="no openvino here"),
    ),
]
PIXELS = torch.rand((2, 3, 40, 64), generator=torch.Generator().manual_seed(0)) * 255


BOXES = torch.tensor([[4.0, 4, 40, 30], [8, 8, 60, 38], [2, 2, 20, 20]])
CLICKS = torch.tensor([[[20.0, 15], [50, 30]]] * 3)
PROMPTS = {
    "box": Prompts(boxes=BOXES, images=torch.tensor([1, 0, 1])),
    "one click": Prompts(points=CLICKS[:, :1], labels=torch.ones(3, 1).long()),
    "two clicks": Prompts(points=CLICKS, labels=torch.tensor([[1, 0]] * 3)),
    "box and clicks": Prompts(boxes=BOXES, points=CLICKS, labels=torch.tensor([[1, 0]] * 3)),
    "box and mask": Prompts(boxes=BOXES[:1], masks=torch.linspace(-9, 9, 4096).view(1, 64, 64)),
    "nothing": Prompts.null(2),
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that these tests share, since each conversion takes seconds."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMDOMAIN_CACHE", str(folder))
        yield folder


@pytest.fixture(params=ENGINES, scope="module")
def fast(request: pytest.FixtureRequest, tiny: Sam) -> Iterator[AcceleratedSam]:
    """A snapshot by each engine in turn, whichever the machine would choose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "choose_engine", lambda sam: request.param())
        yield accelerate(tiny)


def converted(cache: Path) -> dict[Path, int]:
    """What the cache holds, by the time of writing."""
    files = (cache / "engines").glob("*/*")
    return {path: path.stat().st_mtime_ns for path in files if path.is_file()}


def test_a_snapshot_gives_the_same_maps(tiny: Sam, fast: AcceleratedSam) -> None:
    """In f32 the embedding and its levels equal plain torch's."""
    with torch.no_grad():
        expected, found = encode(tiny, PIXELS), encode(fast, PIXELS)
    assert torch.allclose(found.main, expected.main, atol=1e-4)
    assert found.levels.keys() == expected.levels.keys()
    for stride, level in expected.levels.items():
        assert torch.allclose(found.levels[stride], level, atol=1e-4)


@pytest.mark.parametrize("multimask", [False, True], ids=["single", "multimask"])
@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS.keys())
def test_a_snapshot_gives_the_same_masks(
    tiny: Sam,
    fast: AcceleratedSam,
    prompts: Prompts,
    multimask: bool,
) -> None:
    """In f32 the masks of prompts of every length are plain torch's, to 1e-4 of their size."""
    with torch.no_grad():
        embedding = encode(tiny, PIXELS)
        expected = decode(tiny, embedding, prompts, multimask=multimask)
        found = decode(fast, embedding, prompts, multimask=multimask)
    limit = 1e-4 * float(expected.low_res.abs().max())
    assert torch.allclose(found.low_res, expected.low_res, rtol=0, atol=limit)
    assert torch.allclose(found.iou, expected.iou, rtol=0, atol=1e-4)


def test_no_prompts_give_no_masks(fast: AcceleratedSam) -> None:
    """An empty set of boxes is decoded to an empty prediction."""
    with torch.no_grad():
        none = decode(fast, encode(fast, PIXELS), Prompts(boxes=torch.zeros(0, 4)))
    assert none.low_res.shape == (0, 1, 64, 64)


def test_a_prompt_does_not_depend_on_its_batch(fast: AcceleratedSam) -> None:
    """Three prompts together come out as each alone, in OpenVINO bit for bit."""
    maps, dense = torch.rand(2, 3, 256, 16, 16)
    tokens = torch.rand(3, 5, 256)
    grid = fast.prompt_encoder.get_dense_pe()

    def run(rows: slice) -> torch.Tensor:
        return fast.mask_decoder(
            image_embeddings=maps[rows],
            image_pe=grid,
            sparse_prompt_embeddings=tokens[rows],
            dense_prompt_embeddings=dense[rows],
            multimask_output=True,
        )[0]

    together, alone = run(slice(0, 3)), torch.cat([run(slice(i, i + 1)) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-4)
    if fast.engine.startswith("openvino"):
        assert torch.equal(together, alone)


@pytest.mark.skipif(find_spec("openvino") is None, reason="no openvino here")
def test_a_decoder_of_another_kind_stays_in_torch(tiny: Sam, cache: Path) -> None:
    """A subclass, which may choose among masks in its own way, is run as it is."""

    class Other(MaskDecoder):
        pass

    accelerate(tiny)
    (folder,) = (cache / "engines").glob("*openvino*")
    sam = tiny_sam()
    sam.mask_decoder.__class__ = Other
    assert OpenVinoEngine().load(sam, folder, "f32")[1] is sam.mask_decoder


@pytest.mark.parametrize("engine", ENGINES)
def test_bf16_is_near_and_hands_on_floats(
    tiny: Sam, engine: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half precision is within some percent, and its maps are float32."""
    monkeypatch.setattr(snapshot, "choose_engine", lambda sam: engine())
    with torch.no_grad():
        expected, found = encode(tiny, PIXELS).main, encode(accelerate(tiny, "bf16"), PIXELS).main
    assert found.dtype == torch.float32
    assert torch.linalg.norm(found - expected) < 0.1 * torch.linalg.norm(expected)


def test_an_image_does_not_depend_on_its_batch(fast: AcceleratedSam) -> None:
    """Two images together come out bit for bit as each alone."""
    assert torch.equal(encode(fast, PIXELS).main[1], encode(fast, PIXELS[1]).main[0])


def test_the_second_time_converts_nothing(tiny: Sam, cache: Path) -> None:
    """The conversion stays in the cache, one folder for a state of the weights."""
    accelerate(tiny)
    written = converted(cache)
    accelerate(tiny)
    assert converted(cache) == written


def test_changed_weights_are_converted_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed weight never meets the conversion of the old one."""
    monkeypatch.setattr(snapshot, "choose_engine", lambda sam: TorchEngine())
    sam = tiny_sam()
    accelerate(sam)
    before = converted(cache)
    with torch.no_grad():
        sam.mask_decoder.iou_token.weight.add_(0.5)
    accelerate(sam)
    assert len(converted(cache)) > len(before)


def test_later_changes_do_not_reach_the_snapshot() -> None:
    """The model may be trained on while its snapshot infers."""
    sam = tiny_sam()
    fast = accelerate(sam)
    prompts = Prompts(boxes=torch.tensor([[4.0, 4, 40, 30]]))
    before = decode(fast, encode(fast, PIXELS[:1]), prompts).low_res
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.zero_()
    assert torch.equal(decode(fast, encode(fast, PIXELS[:1]), prompts).low_res, before)


def test_a_snapshot_travels_as_a_path(fast: AcceleratedSam) -> None:
    """Pickled, it is some hundred bytes, and comes back the same."""
    travelled = pickle.dumps(fast)
    assert len(travelled) < 1000
    back = pickle.loads(travelled)
    assert back.spec == fast.spec
    assert back.weights_sha256 == fast.weights_sha256
    assert torch.allclose(encode(back, PIXELS).main, encode(fast, PIXELS).main, atol=1e-6)


def test_a_snapshot_refuses_to_train(fast: AcceleratedSam) -> None:
    """train() and gradients are errors that name the model to use."""
    assert not fast.eval().training
    for refuse in (fast.train, fast.requires_grad_):
        with pytest.raises(InputError, match="model it was made from"):
            refuse()
    with pytest.raises(InputError, match="no gradients"):
        fast.image_encoder(torch.zeros(1, 3, 64, 64, requires_grad=True))
    assert not any(parameter.requires_grad for parameter in fast.parameters())


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_precision_is_named(tiny: Sam) -> None:
    """The error lists what there is."""
    with pytest.raises(InputError, match="'f16' is unknown: allowed are f32, bf16"):
        accelerate(tiny, "f16")


def test_a_failed_conversion_leaves_nothing(
    tiny: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that breaks off is not taken for a finished one."""

    class Broken(TorchEngine):
        def convert(self, sam: Sam, folder: Path) -> None:
            (folder / "half").write_text("x")
            raise RuntimeError("out of memory")

    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    monkeypatch.setattr(snapshot, "choose_engine", lambda sam: Broken())
    with pytest.raises(RuntimeError, match="out of memory"):
        accelerate(tiny)
    assert list((tmp_path / "engines").iterdir()) == []


def test_a_snapshot_keeps_the_contract(fast: AcceleratedSam) -> None:
    """What every model must do, its snapshot does too; its decoder passes gradients on."""
    check_sam(fast)
