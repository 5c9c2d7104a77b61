import json
from pathlib import Path

import pytest
import torch
from segment_anything import sam_model_registry
from torch import nn

from samdomain import load_sam
from samdomain.adapter_file import AdapterCard, load_adapter, save_adapter
from samdomain.adapter_file.checkpoint import write_checkpoint
from samdomain.backbones import BACKBONES
from samdomain.cli import main
from samdomain.injection import merge
from samdomain.lora import ConvLoRA, LoRA
from samdomain.sam import Sam


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    sam = load_sam("tiny")
    LoRA()(sam)
    with torch.no_grad():
        for one in sam.parameters():
            one.add_(0.1 * one.requires_grad)
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
