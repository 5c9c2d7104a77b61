import errno
import json
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from segment_anything import sam_model_registry
from torch import nn

from samdomain import load_sam
from samdomain.adapter_file import AdapterCard, DataSource, load_adapter, save_adapter
from samdomain.adapter_file.checkpoint import write_checkpoint
from samdomain.adapters import AdaptFormer
from samdomain.backbones import BACKBONES
from samdomain.bands import Bands
from samdomain.cli import main
from samdomain.errors import InputError, StoppedError
from samdomain.injection import merge
from samdomain.lora import ConvLoRA, LoRA
from samdomain.prompt_tokens import PromptMap
from samdomain.sam import Sam
from samdomain.spectral import Spectral
from samdomain.weights import sha256


@pytest.fixture
def adapter(tmp_path: Path, trained: Callable[..., Sam]) -> Path:
    sam = trained(LoRA(), Spectral())
    save_adapter(sam, tmp_path / "a", AdapterCard(summary="Finds discs."))
    return tmp_path / "a"


def test_list_runs(capsys: pytest.CaptureFixture) -> None:
    """Shipped adapters, or that there are none."""
    assert main(["adapter", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_show_tells_what_an_adapter_says(adapter: Path, capsys: pytest.CaptureFixture) -> None:
    """Base, injections and size."""
    assert main(["adapter", "show", str(adapter), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["base"]["name"] == "tiny"
    assert shown["injections"][0]["kind"] == "lora"
    assert shown["bytes"] > 0


@pytest.mark.parametrize("name", ["merged.pth", "merged.safetensors"])
def test_a_merged_checkpoint_is_plain(name: str, adapter: Path, tmp_path: Path) -> None:
    """It loads by its path, and computes what the adapted model does."""
    out = tmp_path / name
    assert main(["adapter", "merge", str(adapter), "--out", str(out)]) == 0
    state = load_sam(out).state_dict()
    qkv = "image_encoder.stages.1.blocks.0.attn.qkv.weight"
    assert not torch.equal(state[qkv], load_sam("tiny").state_dict()[qkv])
    assert main(["adapter", "merge", str(adapter), "--out", str(out)]) == 2
    assert main(["adapter", "merge", str(adapter), "--out", str(out), "--overwrite"]) == 0


def test_a_merge_into_a_file_of_another_kind_is_refused(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The suffixes are named."""
    assert main(["adapter", "merge", str(adapter), "--out", str(tmp_path / "x.onnx")]) == 2
    assert ".pth, .pt, .safetensors" in capsys.readouterr().err


def test_what_cannot_be_folded_is_not_merged(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Conv-LoRA depends on its input."""
    sam = load_sam("tiny")
    ConvLoRA(scales=(1, 2))(sam)
    save_adapter(sam, tmp_path / "a")
    out = tmp_path / "x.pth"
    assert main(["adapter", "merge", str(tmp_path / "a"), "--out", str(out)]) == 2
    assert "cannot be merged" in capsys.readouterr().err
    assert not out.exists()


def test_a_head_is_not_merged(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A plain checkpoint has no place for it."""
    sam = load_sam("tiny")
    LoRA()(sam)
    save_adapter(sam, tmp_path / "a", head=nn.Linear(1, 1))
    out = tmp_path / "x.pth"
    assert main(["adapter", "merge", str(tmp_path / "a"), "--out", str(out)]) == 2
    assert "has a head of 2 tensors" in capsys.readouterr().err


def test_bands_are_not_merged_into_a_checkpoint_that_nothing_loads(
    tmp_path: Path, trained: Callable[..., Sam], capsys: pytest.CaptureFixture
) -> None:
    """Their number is named, and what to do instead."""
    save_adapter(trained(Bands(5)), tmp_path / "a")
    out = tmp_path / "x.pth"
    assert main(["adapter", "merge", str(tmp_path / "a"), "--out", str(out)]) == 2
    assert "takes 5 bands, plain checkpoints take 3" in capsys.readouterr().err
    assert not out.exists()


def test_a_model_of_another_name_is_written_in_its_own_layout(tmp_path: Path) -> None:
    """The architecture decides, whatever the spec is called."""
    sam = load_sam("tiny")
    sam.spec = replace(sam.spec, name="roofs")
    write_checkpoint(sam, tmp_path / "x.safetensors")
    keys = load_file(tmp_path / "x.safetensors").keys()
    assert any(key.startswith("image_encoder.layers.0.") for key in keys)
    assert load_sam(tmp_path / "x.safetensors").spec == load_sam("tiny").spec


def test_a_model_that_is_not_merged_is_no_checkpoint(
    tmp_path: Path, trained: Callable[..., Sam]
) -> None:
    """What it still holds is named."""
    with pytest.raises(InputError, match="still holds lora: merge it first"):
        write_checkpoint(trained(LoRA()), tmp_path / "x.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_disk_that_fills_up_leaves_the_earlier_checkpoint(
    suffix: str,
    tmp_path: Path,
    tiny: Sam,
    small_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    """Nothing half-written stays beside it."""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"before")
    with small_disk(), pytest.raises(StoppedError, match="could not be written to its end"):
        write_checkpoint(tiny, path, overwrite=True)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_checkpoint_may_be_read_by_all(name: str, tmp_path: Path, tiny: Sam) -> None:
    """It has the rights that any new file has."""
    write_checkpoint(tiny, tmp_path / name)
    (tmp_path / "other").touch()
    assert (tmp_path / name).stat().st_mode == (tmp_path / "other").stat().st_mode


def failed(words: list[str], capsys: pytest.CaptureFixture) -> str:
    """Return the one line that a command ended with, after checking that it is one."""
    code = main(words)
    told = capsys.readouterr()
    assert code in {2, 3}, told.err
    (line,) = told.err.splitlines()
    assert line.startswith("samdomain: error:")
    return line


def sign(folder: Path) -> None:
    """Let the description name the tensors as they are now, as a forger would."""
    path = folder / "samdomain.json"
    values = json.loads(path.read_text())
    values["files"] = {name: sha256(folder / name) for name in values["files"]}
    path.write_text(json.dumps(values))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"x": 1}))


@pytest.mark.parametrize("spoil", [cut, pickled, Path.unlink])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "samdomain.safetensors"])
def test_spoilt_tensors_are_told_in_a_line(
    spoil: Callable[[Path], None],
    signed: bool,
    name: str,
    adapter: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    """Cut off, a pickle, or gone; also where the digest was made to fit."""
    spoil(adapter / name)
    if signed and (adapter / name).exists():
        sign(adapter)
    words = ["adapter", "merge", str(adapter), "--out", str(tmp_path / "x.pth")]
    assert name in failed(words, capsys)


@pytest.mark.parametrize("name", ["samdomain.json", "adapter_config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_no_json_are_told_in_a_line(
    name: str, content: bytes, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Each names the file."""
    (adapter / name).write_bytes(content)
    words = ["adapter", "merge", str(adapter), "--out", str(tmp_path / "x.pth")]
    assert name in failed(words, capsys)


WRONG = (None, True, -1.5, "x", ["x"], {"x": [1]})


def spoilt(values: Any) -> Iterator[Any]:
    """Yield a description with each of its values in turn replaced by ones that it cannot be."""
    places = values.items() if isinstance(values, dict) else enumerate(values)
    for place, value in list(places):
        for wrong in WRONG:
            values[place] = wrong
            yield values
        values[place] = value
        if isinstance(value, dict | list):
            yield from spoilt(value)


def test_a_tampered_description_ends_in_no_traceback(
    trained: Callable[..., Sam], tmp_path: Path
) -> None:
    """Whatever value is replaced by whatever else: it is an error of ours, or makes no odds."""
    card = AdapterCard(classes=("disc",), data=(DataSource("made", "CC0"),), metrics={"IoU": 0.5})
    chosen = (LoRA(last=1), AdaptFormer(last=1, width=4), PromptMap(2), Bands(4))
    save_adapter(trained(*chosen), tmp_path / "a", card)
    path = tmp_path / "a" / "samdomain.json"
    values = json.loads(path.read_text())
    base = load_sam("tiny")
    for _ in spoilt(values):
        path.write_text(json.dumps(values))
        with suppress(InputError):
            load_adapter(tmp_path / "a", base)
            base = load_sam("tiny")  # the other is adapted now; refused, it is as it was


@pytest.mark.parametrize("verb", ["show", "merge"])
@pytest.mark.parametrize("given", ["missing", "file", "empty", "x" * 5000])
def test_what_is_no_adapter_is_told_in_a_line(
    verb: str, given: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A folder that is missing, empty or a file, and a name that no disk takes."""
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "x.pth")] if verb == "merge" else []
    assert "adapter" in failed(["adapter", verb, str(tmp_path / given), *out], capsys)


@pytest.mark.parametrize("schema", [99, "1", None])
def test_a_newer_schema_is_told_in_a_line(
    schema: object, adapter: Path, capsys: pytest.CaptureFixture
) -> None:
    """The way out is an update."""
    path = adapter / "samdomain.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    assert "pip install --upgrade" in failed(["adapter", "show", str(adapter)], capsys)


@pytest.mark.parametrize("base", [{"name": "tiny", "sha256": "0" * 64}, {"name": "nope"}])
def test_another_base_is_told_in_a_line(
    base: dict[str, str], adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """One that differs, and one that nobody knows."""
    path = adapter / "samdomain.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base": base}))
    words = ["adapter", "merge", str(adapter), "--out", str(tmp_path / "x.pth")]
    assert base["name"] in failed(words, capsys)


@pytest.mark.parametrize("out", ["file/x.pth", "a", "a.pth", "x" * 300 + ".pth", "locked/x.pth"])
def test_a_place_that_cannot_be_written_is_told_in_a_line(
    out: str, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Below a file, a folder, a name that is too long, and without the right to."""
    (tmp_path / "file").touch()
    (tmp_path / "a.pth").mkdir()
    (tmp_path / "locked").mkdir(mode=0o500)
    if out.startswith("locked") and os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("the super-user may write anywhere")
    words = ["adapter", "merge", str(adapter), "--out", str(tmp_path / out)]
    assert out.split("/", maxsplit=1)[0] in failed(words, capsys)


def test_an_unreadable_description_is_told_in_a_line(
    adapter: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk's own words are in it."""

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert "Permission denied" in failed(["adapter", "show", str(adapter)], capsys)


@pytest.mark.slow
def test_segment_anything_loads_a_merged_vit(tmp_path: Path) -> None:
    """A merged ViT-B is a checkpoint of SAM's own code."""
    sam = load_sam_vit_b()
    LoRA()(sam)
    save_adapter(sam, tmp_path / "a")
    loaded = load_adapter(tmp_path / "a", load_sam_vit_b()).sam
    write_checkpoint(merge(loaded), tmp_path / "vit.pth")
    theirs = sam_model_registry["vit_b"](checkpoint=str(tmp_path / "vit.pth"))
    ours = loaded.state_dict()
    assert all(torch.equal(ours[k], v) for k, v in theirs.state_dict().items() if k in ours)


def load_sam_vit_b() -> Sam:
    torch.manual_seed(0)
    backbone = BACKBONES["sam_vit_b"]
    return backbone.build(backbone.spec).eval()
