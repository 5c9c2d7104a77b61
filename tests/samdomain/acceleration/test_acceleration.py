import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from samdomain.acceleration import accelerate, snapshot
from samdomain.acceleration.engines import OpenVinoEngine, TorchEngine
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


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """Each engine in turn, whichever the machine would choose."""
    monkeypatch.setattr(snapshot, "choose_engine", lambda encoder: request.param())
    return request.param


@pytest.mark.usefixtures("engine")
def test_a_snapshot_gives_the_same_maps_and_masks(tiny: Sam) -> None:
    """In f32 the embedding, its levels and the masks equal plain torch's."""
    fast = accelerate(tiny)
    with torch.no_grad():
        expected, found = encode(tiny, PIXELS), encode(fast, PIXELS)
        prompts = Prompts(boxes=torch.tensor([[4.0, 4, 40, 30]] * 2), images=torch.tensor([1, 0]))
        masks = decode(tiny, expected, prompts).low_res
        assert torch.allclose(decode(fast, found, prompts).low_res, masks, atol=1e-4)
    assert torch.allclose(found.main, expected.main, atol=1e-4)
    assert found.levels.keys() == expected.levels.keys()
    for stride, level in expected.levels.items():
        assert torch.allclose(found.levels[stride], level, atol=1e-4)


@pytest.mark.usefixtures("engine")
def test_bf16_is_near_and_hands_on_floats(tiny: Sam) -> None:
    """Half precision is within some percent, and its maps are float32."""
    with torch.no_grad():
        expected, found = encode(tiny, PIXELS).main, encode(accelerate(tiny, "bf16"), PIXELS).main
    assert found.dtype == torch.float32
    assert torch.linalg.norm(found - expected) < 0.1 * torch.linalg.norm(expected)


@pytest.mark.usefixtures("engine")
def test_an_image_does_not_depend_on_its_batch(tiny: Sam) -> None:
    """Two images together come out bit for bit as each alone."""
    fast = accelerate(tiny)
    together = encode(fast, PIXELS).main
    if fast.engine.startswith("openvino"):
        assert torch.equal(together[1], encode(fast, PIXELS[1]).main[0])
    assert torch.allclose(together[1], encode(fast, PIXELS[1]).main[0], atol=1e-5)


@pytest.mark.usefixtures("engine")
def test_the_second_time_converts_nothing(tiny: Sam, cache: Path) -> None:
    """The conversion stays in the cache, one folder for a state of the weights."""
    accelerate(tiny)
    (folder,) = (cache / "engines").iterdir()
    written = {p: p.stat().st_mtime_ns for p in folder.iterdir() if p.is_file()}
    accelerate(tiny)
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir() if p.is_file()} == written


@pytest.mark.usefixtures("engine")
def test_changed_weights_are_converted_anew() -> None:
    """A changed weight never meets the conversion of the old one."""
    sam = tiny_sam()
    before = encode(accelerate(sam), PIXELS).main
    with torch.no_grad():
        sam.image_encoder.neck[0].weight.mul_(1.5)
        sam.image_encoder.neck[1].bias.add_(0.5)
    after = encode(accelerate(sam), PIXELS).main
    assert not torch.allclose(before, after)
    with torch.no_grad():
        assert torch.allclose(after, encode(sam, PIXELS).main, atol=1e-4)


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


@pytest.mark.usefixtures("engine")
def test_a_snapshot_travels_as_a_path(tiny: Sam) -> None:
    """Pickled, it is some hundred bytes, and comes back the same."""
    fast = accelerate(tiny)
    travelled = pickle.dumps(fast)
    assert len(travelled) < 1000
    back = pickle.loads(travelled)
    assert back.spec == fast.spec
    assert back.weights_sha256 == fast.weights_sha256
    assert torch.allclose(encode(back, PIXELS).main, encode(fast, PIXELS).main, atol=1e-6)


def test_a_snapshot_refuses_to_train(tiny: Sam) -> None:
    """train() and gradients are errors that name the model to use."""
    fast = accelerate(tiny)
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
    tiny: Sam, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that breaks off is not taken for a finished one."""

    class Broken(TorchEngine):
        def convert(self, encoder: object, example: object, folder: Path) -> None:
            (folder / "half").write_text("x")
            raise RuntimeError("out of memory")

    monkeypatch.setattr(snapshot, "choose_engine", lambda encoder: Broken())
    with pytest.raises(RuntimeError, match="out of memory"):
        accelerate(tiny)
    assert list((cache / "engines").iterdir()) == []


@pytest.mark.usefixtures("engine")
def test_a_snapshot_keeps_the_contract(tiny: Sam) -> None:
    """What every model must do, its snapshot does too; its decoder passes gradients on."""
    check_sam(accelerate(tiny))
