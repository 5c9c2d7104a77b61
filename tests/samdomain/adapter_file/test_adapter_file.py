import copy
import errno
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from samdomain import Prompts, decode, encode, load_sam
from samdomain.adapter_file import (
    AdapterCard,
    DataSource,
    load_adapter,
    read_adapter,
    save_adapter,
)
from samdomain.errors import InputError, StoppedError, WeightsError
from samdomain.injection import Injection, adapted_state, injections
from samdomain.lora import LoRA
from samdomain.modules import freeze
from samdomain.sam import Sam
from samdomain.spectral import Spectral
from samdomain.weights import sha256

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


@pytest.mark.parametrize(
    "chosen",
    [
        (LoRA(),),
        (LoRA(parts=("encoder.qkv",), rank=2, alpha=4.0),),
        (LoRA(parts=("decoder.q", "decoder.v"), rank=2, rslora=True), Spectral()),
    ],
    ids=["lora", "fused", "lora and spectral"],
)
def test_an_adapter_comes_back_as_it_was(
    chosen: tuple[Injection, ...], tmp_path: Path, trained: Callable[..., Sam]
) -> None:
    """Output, injections and what trains survive the folder."""
    sam = trained(*chosen)
    assert not torch.allclose(low_res(sam), low_res(load_sam("tiny")))
    save_adapter(sam, tmp_path / "a", CARD)
    loaded = load_adapter(tmp_path / "a")
    torch.testing.assert_close(low_res(loaded.sam), low_res(sam), rtol=1e-5, atol=1e-5)
    assert [one.injection for one in injections(loaded.sam)] == list(chosen)
    assert adapted_state(loaded.sam).keys() == adapted_state(sam).keys()
    assert loaded.adapter is not None
    assert loaded.adapter.card == CARD


def test_the_first_files_are_read(tmp_path: Path, trained: Callable[..., Sam]) -> None:
    """What they do not say is as it was then."""
    save_adapter(trained(LoRA()), tmp_path / "a", CARD)
    path = tmp_path / "a/samdomain.json"
    values = json.loads(path.read_text())
    for name in ("chip_size", "value_range", "temperature", "modality", "intended_use"):
        del values[name]
    path.write_text(json.dumps(values))
    assert read_adapter(tmp_path / "a").card == CARD


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
    tuned = {name for name, one in loaded.named_parameters() if one.requires_grad}
    assert {name.split(".")[1] for name in tuned} == {"iou_prediction_head"}
    assert torch.equal(low_res(loaded), low_res(sam))


def test_a_recipes_head_travels_along(tmp_path: Path, trained: Callable[..., Sam]) -> None:
    """Its tensors come back by their own names."""
    head = nn.Linear(2, 1)
    save_adapter(trained(LoRA()), tmp_path / "a", head=head)
    loaded = load_adapter(tmp_path / "a").head
    assert loaded.keys() == head.state_dict().keys()
    assert torch.equal(loaded["weight"], head.weight)


def test_half_precision_halves_the_file(tmp_path: Path, trained: Callable[..., Sam]) -> None:
    """Tensors are cast on the way out, and back on the way in."""
    sam = trained(LoRA(rank=8))
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


def test_the_model_card_says_what_peft_would_miss(
    tmp_path: Path, trained: Callable[..., Sam]
) -> None:
    """Licence of the data, figures and the tensors outside peft's file are told."""
    save_adapter(trained(LoRA(), Spectral()), tmp_path / "a", CARD)
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


def test_an_adapter_is_not_overwritten_unless_told(
    tmp_path: Path, trained: Callable[..., Sam]
) -> None:
    """A folder of something else never is."""
    sam = trained(LoRA())
    save_adapter(sam, tmp_path / "a")
    with pytest.raises(InputError, match="overwrite=True"):
        save_adapter(sam, tmp_path / "a")
    save_adapter(sam, tmp_path / "a", overwrite=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no adapter"):
        save_adapter(sam, tmp_path / "b", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_others_may_read_an_adapter(tmp_path: Path, trained: Callable[..., Sam]) -> None:
    """Its files have the rights that new files have."""
    save_adapter(trained(LoRA(), Spectral()), tmp_path / "a")
    (tmp_path / "any").touch()
    rights = {path.stat().st_mode for path in (tmp_path / "a").iterdir()}
    assert rights == {(tmp_path / "any").stat().st_mode}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_earlier_adapter_is_back_when_the_new_one_gets_no_name(
    tmp_path: Path, trained: Callable[..., Sam], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that fails half-way loses nothing, and is told in an error of ours."""
    save_adapter(trained(LoRA()), tmp_path / "a")
    before = contents(tmp_path)
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StoppedError, match="what stood there before still does"):
        save_adapter(trained(LoRA(), seed=2), tmp_path / "a", overwrite=True)
    assert contents(tmp_path) == before


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    tmp_path: Path,
    trained: Callable[..., Sam],
    small_disk: Callable[[], AbstractContextManager[None]],
) -> None:
    """The earlier adapter stays, a new one is not begun."""
    save_adapter(trained(LoRA()), tmp_path / "a")
    before = contents(tmp_path)
    sam = trained(LoRA(), seed=2)
    for name in ("a", "b"):
        with small_disk(), pytest.raises(StoppedError, match="could not be written to its end"):
            save_adapter(sam, tmp_path / name, overwrite=True)
    assert contents(tmp_path) == before


def test_an_adapter_in_a_place_that_is_none_is_refused(
    tmp_path: Path, trained: Callable[..., Sam]
) -> None:
    """A file is no folder to put it into."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        save_adapter(trained(LoRA()), tmp_path / "file" / "a")


@pytest.fixture
def folder(tmp_path: Path, trained: Callable[..., Sam]) -> Path:
    save_adapter(trained(LoRA(), Spectral()), tmp_path / "a")
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


@pytest.mark.parametrize("broken", ["spec", "rank", "tensors", "injections"])
def test_a_model_that_was_passed_in_is_as_it_was_when_it_is_refused(
    broken: str, folder: Path, tiny: Sam
) -> None:
    """Modules, spec and what trains are the base's, whatever is found wrong."""
    values = json.loads((folder / "samdomain.json").read_text())
    if broken == "spec":
        rewrite(folder, spec=values["spec"] | {"padding": "both"})
    elif broken == "rank":
        values["injections"][0]["rank"] = 2
        rewrite(folder, injections=values["injections"])
    elif broken == "tensors":
        save_file({"lost": torch.zeros(1)}, folder / "samdomain.safetensors")
        digest = sha256(folder / "samdomain.safetensors")
        rewrite(folder, files=values["files"] | {"samdomain.safetensors": digest})
    else:
        rewrite(folder, injections=[*values["injections"], LoRA(("decoder.x",)).to_json()])
    sam = copy.deepcopy(tiny)
    kinds = {name: type(one) for name, one in sam.named_modules()}
    with pytest.raises(InputError):
        load_adapter(folder, sam)
    assert {name: type(one) for name, one in sam.named_modules()} == kinds
    assert injections(sam) == ()
    assert sam.spec == tiny.spec
    assert all(one.requires_grad for one in sam.parameters())
    assert torch.equal(low_res(sam), low_res(tiny))


def test_tensors_that_the_description_hides_are_told(folder: Path) -> None:
    """Without them the model would be taken for the adapted one."""
    values = json.loads((folder / "samdomain.json").read_text())
    for name, digest in values["files"].items():
        rewrite(folder, files={name: digest})
        with pytest.raises(InputError, match=r"is there but not in samdomain\.json"):
            load_adapter(folder)
    rewrite(folder, files={})
    for name in values["files"]:
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"lacks adapter_model\.safetensors"):
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


def test_an_adapted_model_takes_no_second_adapter(
    folder: Path, trained: Callable[..., Sam]
) -> None:
    """The way out is named."""
    with pytest.raises(InputError, match="adapted already"):
        load_adapter(folder, trained(LoRA()))


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
    sam.spec = replace(taught, prompts=frozenset({"box", "point"}), alternatives=False)
    LoRA()(sam)
    save_adapter(sam, tmp_path / "adapter")
    base = load_sam("tiny")
    base.spec = replace(taught, prompts=frozenset({"box"}))
    assert load_adapter(tmp_path / "adapter", base).sam.spec == sam.spec
