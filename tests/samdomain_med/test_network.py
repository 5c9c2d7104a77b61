import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samdomain import Prompts, load_segmenter, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.errors import InputError
from samdomain.export import SegmenterGraph, write_onnx
from samdomain.task_network import RecipeLoss
from samdomain.testing import move_trained

monai = pytest.importorskip("monai")

from samdomain_med import SamSegmenter  # noqa: E402 - after the skip


def images(channels: int = 3, count: int = 2) -> Tensor:
    return torch.rand(count, channels, 40, 56, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("channels", "classes", "recipe"),
    [(3, 1, "sam_sp"), (1, 1, "sam_sp"), (3, 3, "samed"), (5, 2, "samed"), (3, 1, "samlp")],
)
def test_images_in_logits_out(channels: int, classes: int, recipe: str) -> None:
    """Shapes are as MONAI's networks have them; gradients reach what trains."""
    network = SamSegmenter(2, channels, classes, weights="tiny", recipe=recipe).train()
    logits = network(images(channels))
    assert logits.shape == (2, classes, 40, 56)
    logits.square().mean().backward()
    assert any(one.grad is not None and one.grad.any() for one in network.parameters())


def test_a_state_dict_carries_all() -> None:
    """A network with random values takes it, base included."""
    network = move_trained(SamSegmenter(weights="tiny")).eval()
    empty = SamSegmenter(weights="tiny", pretrained=False).eval()
    assert not torch.allclose(empty(images()), network(images()))
    empty.load_state_dict(network.state_dict())
    torch.testing.assert_close(empty(images()), network(images()))


def test_an_adapter_answers_as_in_its_folder(tmp_path: Path) -> None:
    """Recipe and temperature come from its card; values are from 0 to 1 here."""
    network = move_trained(SamSegmenter(weights="tiny")).eval()
    options = network.recipe.to_json()
    card = AdapterCard(recipe="sam_sp", output="semantic", options=options, temperature=2.0)
    save_adapter(network.sam, tmp_path / "polyp", card)
    loaded = SamSegmenter(weights="tiny", adapter=str(tmp_path / "polyp")).eval()
    segmenter, _ = load_segmenter(tmp_path / "polyp")
    torch.testing.assert_close(loaded(images()), segmenter(images() * 255), rtol=1e-4, atol=1e-5)


def test_a_temperature_divides_the_answers_but_not_in_training() -> None:
    """Loss functions see the logits as they are."""
    network = move_trained(SamSegmenter(weights="tiny")).eval()
    warm = SamSegmenter(weights="tiny", pretrained=False, temperature=4.0).eval()
    warm.load_state_dict(network.state_dict())
    torch.testing.assert_close(warm(images()), network(images()) / 4)
    torch.manual_seed(0)
    logits = warm.train()(images())
    torch.manual_seed(0)
    torch.testing.assert_close(logits, network.train()(images()))


def test_a_metatensor_keeps_what_it_knows() -> None:
    """Answers to a batch can be taken apart and saved under the images' names."""
    network = SamSegmenter(weights="tiny").eval()
    plain = images()
    batch = monai.data.MetaTensor(plain, meta={"filename_or_obj": ["a.png", "b.png"]})
    batch.is_batch = True
    with torch.no_grad():
        answer = network(batch)
        torch.testing.assert_close(answer.as_tensor(), network(plain))
    names = [one.meta["filename_or_obj"] for one in monai.data.decollate_batch(answer)]
    assert names == ["a.png", "b.png"]


def test_prompts_are_answered_one_mask_each() -> None:
    """A box a row, of any image of the batch."""
    network = SamSegmenter(weights="tiny").eval()
    boxes = torch.tensor([[4.0, 4, 30, 30], [8, 8, 20, 30], [2, 2, 50, 38]])
    prompts = Prompts(boxes=boxes, images=torch.tensor([0, 0, 1]))
    assert network(images(), prompts).shape == (3, 1, 40, 56)


def test_monais_loss_and_the_recipes_own_both_train() -> None:
    """One is of pixels of the image, the other of the decoder's cells and of both passes."""
    network = SamSegmenter(weights="tiny").train()
    label = (images(1) > 0.5).float()
    logits = network(images())
    own, theirs = RecipeLoss(network), monai.losses.DiceCELoss(sigmoid=True)
    for loss in (own, theirs):
        value = loss(network(images()), label)
        value.backward()
        assert value.isfinite()
    assert logits.shape == label.shape


def test_monais_inferer_slides_it() -> None:
    """Windows of a large image are blended to its size."""
    network = SamSegmenter(weights="tiny").eval()
    inferer = monai.inferers.SlidingWindowInferer(roi_size=(32, 32), overlap=0.25)
    with torch.no_grad():
        assert inferer(images(), network).shape == (2, 1, 40, 56)


COMPILED = """
import torch
from samdomain.export import SegmenterGraph
from samdomain.testing import move_trained
from samdomain_med import SamSegmenter
images = torch.rand(2, 3, 40, 56)
network = move_trained(SamSegmenter(weights="tiny")).eval()
with torch.no_grad():
    compiled = {}
    torch.testing.assert_close(compiled(images), network(images), rtol=1e-4, atol=1e-5)
"""


@pytest.mark.parametrize(
    "compiled",
    [
        pytest.param(
            'torch.compile(SegmenterGraph(network, (40, 56)), backend="aot_eager", fullgraph=True)',
            marks=pytest.mark.slow,
        ),
        pytest.param('torch.compile(network, backend="eager")', marks=pytest.mark.slow),
        pytest.param('torch.compile(network, backend="aot_eager")', marks=pytest.mark.slow),
    ],
    ids=["graph", "eager", "aot_eager"],
)
def test_torch_compiles_it(compiled: str) -> None:
    """Compiled, it answers as it is; what is exported is one graph, the network itself several.

    In a process of its own, since torch cannot trace the checker of shapes.
    """
    command = [sys.executable, "-c", COMPILED.format(compiled)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("channels", [1, 3])
def test_its_graph_takes_what_it_takes(channels: int) -> None:
    """What is exported has its range of values, channels and temperature."""
    network = move_trained(SamSegmenter(2, channels, weights="tiny", temperature=2.0)).eval()
    with torch.no_grad():
        found = SegmenterGraph(network, (40, 56))(images(channels))
        torch.testing.assert_close(found, network(images(channels)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # the trace of ONNX takes a minute
@pytest.mark.skipif(find_spec("onnxscript") is None, reason="no onnxscript here")
def test_its_onnx_file_answers_alike(tmp_path: Path) -> None:
    """In another engine than torch, for one image and for several, from 0 to 1."""
    openvino = pytest.importorskip("openvino")
    network = move_trained(SamSegmenter(weights="tiny", temperature=2.0)).eval()
    write_onnx(network, tmp_path / "network.onnx", (40, 56))
    run = openvino.Core().compile_model(
        tmp_path / "network.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for count in (1, 2):
        given = images(count=count)
        with torch.no_grad():
            expected = network(given)
        found = torch.from_numpy(run([given.numpy()])["logits"].copy())
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"spatial_dims": 3}, "SAM sees planes"),
        ({"in_channels": 4}, "the recipe samed mixes more"),
        ({"out_channels": 2}, "answers with 1: object"),
        ({"recipe": "samed", "out_channels": 2, "options": {"klasses": []}}, "has no option"),
        ({"value_range": (1, 0)}, "black, then white"),
    ],
)
def test_wrong_words_are_refused(words: dict, told: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match=told):
        SamSegmenter(**{"weights": "tiny", **words})


def test_cached_features_change_nothing_but_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits are those of the plain network to half precision, and gradients flow."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    plain = SamSegmenter(weights="tiny").eval()
    cached = SamSegmenter(weights="tiny", pretrained=False, cache=True).eval()
    cached.load_state_dict(plain.state_dict())
    assert cached.state_dict().keys() == plain.state_dict().keys()
    for _ in range(2):
        torch.testing.assert_close(cached(images()), plain(images()), rtol=1e-2, atol=1e-2)
    assert len(list((tmp_path / "features").glob("*/*"))) == 2
    cached.train()(images()).square().mean().backward()
    assert any(one.grad is not None and one.grad.any() for one in cached.parameters())
