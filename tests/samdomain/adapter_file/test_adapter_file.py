import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samdomain import Prompts, decode, encode, load_sam
from samdomain.adapter_file import (
    AdapterCard,
    DataSource,
    load_adapter,
    read_adapter,
    save_adapter,
)
from samdomain.errors import InputError, WeightsError
from samdomain.injection import Injection, adapted_state, injections
from samdomain.lora import LoRA
from samdomain.modules import freeze
from samdomain.sam import Sam
from samdomain.spectral import Spectral

CARD = AdapterCard(
    summary="Finds discs.",
    recipe="sam",
    classes=("disc",),
    pixel_size=0.5,
    metrics={"seed 0": {"test IoU": 0.8}},
    data=(DataSource("made discs", "CC0"),),
)


def low_res(sam: Sam) -> Tensor:
    pixels = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        embedding = encode(sam, pixels)
        return decode(sam, embedding, Prompts(boxes=torch.tensor([[4.0, 4, 40, 40]]))).low_res


def adapted(*injections: Injection, seed: int = 1) -> Sam:
    """Return a model whose injections hold random values, as training would leave them."""
    sam = load_sam("tiny")
    for injection in injections:
        injection(sam)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in sam.parameters():
            if one.requires_grad:
                one.add_(torch.randn(one.shape, generator=generator) * 0.1)
    return sam


@pytest.mark.parametrize(
    "chosen",
    [
        (LoRA(),),
        (LoRA(parts=("encoder.qkv",), rank=2, alpha=4.0),),
        (LoRA(parts=("decoder.q", "decoder.v"), rank=2, rslora=True), Spectral()),
    ],
    ids=["lora", "fused", "lora and spectral"],
)
def test_an_adapter_comes_back_as_it_was(chosen: tuple[Injection, ...], tmp_path: Path) -> None:
    """Output, injections and what trains survive the folder."""
    sam = adapted(*chosen)
    assert not torch.allclose(low_res(sam), low_res(load_sam("tiny")))
    save_adapter(sam, tmp_path / "a", CARD)
    loaded = load_adapter(tmp_path / "a")
    torch.testing.assert_close(low_res(loaded.sam), low_res(sam), rtol=1e-5, atol=1e-5)
    assert [one.injection for one in injections(loaded.sam)] == list(chosen)
    assert adapted_state(loaded.sam).keys() == adapted_state(sam).keys()
    assert loaded.adapter is not None
    assert loaded.adapter.card == CARD


def test_parts_of_the_base_that_trained_are_kept(tmp_path: Path) -> None:
    """A tuned decoder stands in the file without any injection."""
    sam = load_sam("tiny")
    freeze(sam)
    freeze(sam, ["mask_decoder.iou_prediction_head.*"], frozen=False)
    with torch.no_grad():
        for one in sam.mask_decoder.parameters():
            one.add_(0.1 * one.requires_grad)
    save_adapter(sam, tmp_path / "a")
    loaded = load_adapter(tmp_path / "a").sam
    trained = {name for name, one in loaded.named_parameters() if one.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"iou_prediction_head"}
    assert torch.equal(low_res(loaded), low_res(sam))


def test_a_recipes_head_travels_along(tmp_path: Path) -> None:
    """Its tensors come back by their own names."""
    head = nn.Linear(2, 1)
    save_adapter(adapted(LoRA()), tmp_path / "a", head=head)
    loaded = load_adapter(tmp_path / "a").head
    assert loaded.keys() == head.state_dict().keys()
    assert torch.equal(loaded["weight"], head.weight)


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    """Tensors are cast on the way out, and back on the way in."""
    sam = adapted(LoRA(rank=8))
    for name, dtype in (("whole", None), ("half", torch.float16)):
        save_adapter(sam, tmp_path / name, dtype=dtype)
    sizes = [
        sum(f.stat().st_size for f in (tmp_path / n).glob("*.safetensors"))
        for n in ("whole", "half")
    ]
    assert sizes[1] < 0.75 * sizes[0]
    loaded = load_adapter(tmp_path / "half").sam
    assert {one.dtype for one in loaded.state_dict().values() if one.is_floating_point()} == {
        torch.float32
    }


def test_the_model_card_says_what_peft_would_miss(tmp_path: Path) -> None:
    """Licence of the data, figures and the tensors outside peft's file are told."""
    save_adapter(adapted(LoRA(), Spectral()), tmp_path / "a", CARD)
    text = (tmp_path / "a" / "README.md").read_text()
    assert "peft alone reads the" in text
    assert "it would miss 2 others" in text
    assert "| made discs | CC0 |" in text


def test_a_model_as_its_base_is_not_saved(tmp_path: Path) -> None:
    """There would be nothing in it."""
    sam = load_sam("tiny")
    freeze(sam)
    with pytest.raises(InputError, match="is as its base"):
        save_adapter(sam, tmp_path / "a")


def test_an_adapter_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    """A folder of something else never is."""
    sam = adapted(LoRA())
    save_adapter(sam, tmp_path / "a")
    with pytest.raises(InputError, match="overwrite=True"):
        save_adapter(sam, tmp_path / "a")
    save_adapter(sam, tmp_path / "a", overwrite=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no adapter"):
        save_adapter(sam, tmp_path / "b", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_adapter(adapted(LoRA(), Spectral()), tmp_path / "a")
    return tmp_path / "a"


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "samdomain.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_newer_schema_is_refused(folder: Path) -> None:
    """The message tells to update."""
    rewrite(folder, schema=99)
    with pytest.raises(InputError, match=r"schema 99.*pip install --upgrade"):
        load_adapter(folder)


def test_another_base_is_refused(folder: Path) -> None:
    """Name and digest must agree."""
    rewrite(folder, base={"name": "tiny", "sha256": "0123456789abcdef"})
    with pytest.raises(InputError, match="belongs to 'tiny'"):
        load_adapter(folder)


def test_another_rank_is_refused(folder: Path) -> None:
    """A description that does not fit its tensors is no adapter."""
    values = json.loads((folder / "samdomain.json").read_text())
    values["injections"][0]["rank"] = 2
    rewrite(folder, injections=values["injections"])
    with pytest.raises(InputError, match="rank"):
        load_adapter(folder)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "samdomain.safetensors"])
def test_a_file_that_was_cut_off_or_altered_is_refused(name: str, folder: Path) -> None:
    """The digest tells both."""
    path = folder / name
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="cut off or altered"):
        load_adapter(folder)
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cut off or altered"):
        load_adapter(folder)


def test_a_pickle_in_the_place_of_safetensors_is_refused(folder: Path) -> None:
    """It is named, and not opened."""
    path = folder / "adapter_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(WeightsError, match="is a pickle"):
        load_adapter(folder)


def test_an_adapted_model_takes_no_second_adapter(folder: Path) -> None:
    """The way out is named."""
    with pytest.raises(InputError, match="adapted already"):
        load_adapter(folder, adapted(LoRA()))


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    """So is a description that is no JSON."""
    with pytest.raises(InputError, match="no adapter folder"):
        read_adapter(tmp_path)
    (tmp_path / "samdomain.json").write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        read_adapter(tmp_path)
    (tmp_path / "samdomain.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="not as save_adapter wrote it"):
        read_adapter(tmp_path)


def test_taught_prompts_are_taken_again(tmp_path: Path) -> None:
    """A model that was taught clicks takes them after loading; its base did not."""
    sam = load_sam("tiny")
    taught = sam.spec
    sam.spec = replace(taught, prompts=frozenset({"box", "point"}))
    LoRA()(sam)
    save_adapter(sam, tmp_path / "adapter")
    base = load_sam("tiny")
    base.spec = replace(taught, prompts=frozenset({"box"}))
    assert load_adapter(tmp_path / "adapter", base).sam.spec.prompts == {"box", "point"}
