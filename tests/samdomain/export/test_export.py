import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samdomain import load_sam, load_segmenter, save_adapter
from samdomain.adapter_file import AdapterCard
from samdomain.cli import main
from samdomain.errors import InputError, MissingExtraError
from samdomain.export import SegmenterGraph, onnx_file, write_onnx, write_openvino
from samdomain.prompting import predicted_boxes
from samdomain.recipes import Promptable, Recipe, SAMed, SamLP, SamSP
from samdomain.sam import Frame, Prediction
from samdomain.segmenter import Segmenter
from samdomain.testing import move_trained, tiny_sam

SIZE = (40, 56)


def adapted(recipe: Recipe, *, padding: str = "end", scaling: str = "none") -> Segmenter:
    """A segmenter with random values in what a recipe trains."""
    sam = tiny_sam()
    recipe.adapt(sam)
    move_trained(sam)
    sam.spec = replace(sam.spec, padding=padding, scaling=scaling)
    return Segmenter(sam.eval(), recipe, temperature=1.5).eval()


def images(count: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 255


def check_equal(found: Tensor, expected: Tensor) -> None:
    limit = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=limit)


def in_openvino(path: Path, pixels: Tensor) -> Tensor:
    """What OpenVINO makes of a file of its own or of an ONNX file."""
    ov = pytest.importorskip("openvino")
    run = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(run([pixels.numpy()])["logits"].copy())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of `sam_sp` on its base."""
    path = tmp_path_factory.mktemp("export") / "adapter"
    segmenter = adapted(SamSP())
    recipe = segmenter.recipe
    card = AdapterCard(
        recipe=recipe.name,
        output=recipe.output,
        options=recipe.to_json(),
        temperature=1.5,
        intended_use="Research only.",
    )
    save_adapter(segmenter.sam, path, card)
    return path


@pytest.mark.parametrize("size", [(40, 56), (300, 120), (256, 256), (1, 7)])
@pytest.mark.parametrize(
    "made",
    [
        lambda: adapted(SamSP()),
        lambda: adapted(SamSP(rounds=2), padding="both", scaling="minmax"),
        lambda: adapted(SamSP(rounds=0)),
        lambda: adapted(SamSP(peak=0.99)),
        lambda: adapted(SAMed(classes=("background", "roof", "road"))),
        lambda: adapted(SAMed(head="pyramid")),
        lambda: adapted(SamLP(refinement=None)),
        lambda: adapted(SamLP(refinement=None, multimask=True)),
    ],
    ids=["sam_sp", "two rounds", "null", "peak", "samed", "pyramid", "samlp", "best of three"],
)
def test_a_graph_answers_as_its_segmenter(
    made: Callable[[], Segmenter], size: tuple[int, int]
) -> None:
    """Whatever the recipe, padding, scaling and shape of the images."""
    segmenter = made()
    with torch.no_grad():
        expected = segmenter(images(size=size))
        check_equal(SegmenterGraph(segmenter, size)(images(size=size)), expected)


def test_boxes_are_chosen_image_by_image() -> None:
    """Around what was found, without the padding; the whole image where that is nothing."""
    graph = SegmenterGraph(adapted(SamSP()), SIZE)
    logits = torch.full((3, 1, 64, 64), -1.0)
    logits[0, 0, 10:20, 5:9] = 1
    logits[2, 0, 63, 63] = 1  # in the padding below the image
    prediction = Prediction(logits[:1], torch.ones(1, 1), torch.zeros(1).long(), Frame((SIZE,), 64))
    around = predicted_boxes(prediction).boxes
    assert around is not None
    whole = torch.tensor([[0.0, 0, 56, 40]])
    torch.testing.assert_close(graph.boxes(logits), torch.cat([around, whole, whole]))


@pytest.mark.slow  # the trace is that of ONNX, a minute each
@pytest.mark.skipif(find_spec("openvino") is None, reason="no openvino here")
def test_openvino_answers_alike(folder: Path, tmp_path: Path) -> None:
    """The pair of files, for one image and for several; their metadata tells the use."""
    out = tmp_path / "made" / "discs.xml"
    words = ["export", str(folder), "--format", "openvino", "--out", str(out), "--size", "40x56"]
    assert main(words) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["discs.bin", "discs.xml"]
    assert "Research only." in out.read_text()
    segmenter, _ = load_segmenter(folder)
    for count in (1, 3):
        with torch.no_grad():
            check_equal(in_openvino(out, images(count)), segmenter(images(count)))
    assert main(words) == 2  # nothing is replaced without --overwrite


@pytest.mark.skipif(find_spec("onnxscript") is None, reason="no onnxscript here")
def test_onnx_answers_alike(folder: Path, tmp_path: Path) -> None:
    """One file, for one image and for several, in another engine than torch."""
    out = tmp_path / "discs.onnx"
    segmenter, card = load_segmenter(folder)
    write_onnx(segmenter, out, SIZE, card)
    for count in (1, 3):
        with torch.no_grad():
            check_equal(in_openvino(out, images(count)), segmenter(images(count)))


@pytest.mark.parametrize("name", ["merged.pth", "merged.safetensors"])
def test_a_checkpoint_is_plain(name: str, folder: Path, tmp_path: Path) -> None:
    """Loaded by its path and asked as the recipe asks, it answers as the adapter does."""
    out = tmp_path / name
    assert main(["export", str(folder), "--format", "checkpoint", "--out", str(out)]) == 0
    segmenter, _ = load_segmenter(folder)
    plain = Segmenter(load_sam(out).eval(), segmenter.recipe, segmenter.temperature)
    plain.sam.spec = segmenter.sam.spec
    with torch.no_grad():
        check_equal(plain(images()), segmenter(images()))


def test_weights_become_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Weights without an adapter are written as they are, but are no graph."""
    out = tmp_path / "tiny.safetensors"
    words = ["export", "tiny", "--json"]
    assert main([*words, "--format", "checkpoint", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["base"] == "tiny"
    assert main([*words, "--format", "onnx", "--out", str(tmp_path / "tiny.onnx")]) == 2
    assert "weights alone answer prompts" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", [Promptable(), SamLP()], ids=["prompted", "refined"])
def test_what_depends_on_values_is_refused(recipe: Recipe) -> None:
    """The message says which recipes a graph can hold."""
    with pytest.raises(InputError, match="a graph can hold sam_sp, samed"):
        SegmenterGraph(Segmenter(tiny_sam(), recipe), SIZE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "a.onnx", "--size", "40 by 56"], "rows x columns"),
        (["--out", "a.onnx", "--size", "0"], "1 or more"),
        (["--out", "a.pt"], "allowed are .onnx"),
    ],
)
def test_wrong_words_are_refused(
    words: list[str],
    told: str,
    folder: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Before anything is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: object())
    assert main(["export", str(folder), "--format", "onnx", *words]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_writer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    segmenter = adapted(SamSP())
    for module, write, name in [
        ("onnx_file", write_onnx, "a.onnx"),
        ("openvino_file", write_openvino, "a.xml"),
    ]:
        monkeypatch.setattr(f"samdomain.export.{module}.find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="pip install"):
            write(segmenter, tmp_path / name, SIZE)
