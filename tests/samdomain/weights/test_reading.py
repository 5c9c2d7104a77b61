import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from samdomain.errors import WeightsError
from samdomain.weights import read_state


class Malicious:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_that_carries_code_is_refused_unrun(tmp_path: Path) -> None:
    """The file is refused with a clear message, and its code does not run."""
    torch.save({"w": torch.zeros(1), "x": Malicious(tmp_path / "trace")}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="could run code"):
        read_state(tmp_path / "bad.pth")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_training_checkpoints_are_unwrapped(tmp_path: Path, wrapper: str | None) -> None:
    """Weights inside a training checkpoint of a DDP run come out under their plain names."""
    state = {"module.neck.weight": torch.ones(2)}
    content = state if wrapper is None else {wrapper: state, "epoch": 3}
    torch.save(content, tmp_path / "c.pth")
    assert list(read_state(tmp_path / "c.pth")) == ["neck.weight"]


def test_safetensors_are_read(tmp_path: Path) -> None:
    """A safetensors file needs no pickle at all."""
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read_state(tmp_path / "w.safetensors")["w"], torch.ones(2))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pth", b""),
        ("noise.pth", b"\x00\x01garbage" * 20),
        ("text.pth", b"hello world"),
        ("noise.safetensors", b"garbage garbage garbage"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that is no file of weights ends in one clear error."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        read_state(tmp_path / name)


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    """A file that was cut off says so."""
    torch.save({"w": torch.ones(1000)}, tmp_path / "cut.pth")
    whole = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cut off or damaged"):
        read_state(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    ("content", "message"), [([1, 2], "holds a list"), ({"a": 1}, "no tensors")]
)
def test_files_without_tensors_are_named(tmp_path: Path, content: object, message: str) -> None:
    """A file of other things says what it holds."""
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / "x.pth")
