import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest

from samdomain.adapter_file import AdapterCard, save_adapter
from samdomain.cli import main
from samdomain.lora import LoRA
from samdomain.sam import Sam


@pytest.fixture
def adapted(trained: Callable[..., Sam]) -> Sam:
    """A tiny SAM with LoRA in encoder and decoder that does something."""
    return trained(LoRA(parts=("encoder.q", "encoder.v", "decoder.q", "decoder.v")))


@pytest.fixture
def adapter(tmp_path: Path, adapted: Sam) -> Path:
    save_adapter(adapted, tmp_path / "adapter")
    return tmp_path / "adapter"


def run(scene: Path, boxes: Path, out: Path, *flags: str) -> int:
    return main(["segment", str(scene), "--prompts", str(boxes), "--out", str(out), *flags])


def shapes(folder: Path) -> gpd.GeoSeries:
    return gpd.read_file(folder / "polygons.gpkg", layer="polygons").geometry


def test_adapted_and_merged_give_the_same_polygons(
    scene: Path, boxes: Path, adapter: Path, tmp_path: Path
) -> None:
    """An adapter and the checkpoint merged from it are one model, and not the base."""
    assert run(scene, boxes, tmp_path / "a", "--adapter", str(adapter)) == 0
    merged = tmp_path / "merged.safetensors"
    assert main(["adapter", "merge", str(adapter), "--out", str(merged)]) == 0
    assert run(scene, boxes, tmp_path / "b", "--weights", str(merged)) == 0
    assert run(scene, boxes, tmp_path / "c", "--weights", "tiny") == 0
    adapted, plain, base = (shapes(tmp_path / name) for name in "abc")
    union = adapted.union(plain).area
    assert (adapted.intersection(plain).area / union).min() > 0.99
    assert not adapted.geom_equals(base).all()
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["adapter"]["files"].keys() == {"adapter_model.safetensors"}


def test_an_adapter_of_another_output_is_refused(
    scene: Path, boxes: Path, adapted: Sam, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Semantic adapters take no prompts."""
    save_adapter(adapted, tmp_path / "adapter", AdapterCard(output="semantic"))
    assert run(scene, boxes, tmp_path / "out", "--adapter", str(tmp_path / "adapter")) == 2
    assert "gives semantic results, which take no --prompts" in capsys.readouterr().err


def test_an_unknown_adapter_is_refused(
    scene: Path, boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The message names what is shipped."""
    assert run(scene, boxes, tmp_path / "out", "--adapter", "roofs") == 2
    assert "neither a folder nor shipped" in capsys.readouterr().err
