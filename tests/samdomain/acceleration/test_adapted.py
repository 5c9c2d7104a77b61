"""A snapshot of an adapted model is the adapted model."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samdomain.acceleration import accelerate, snapshot
from samdomain.acceleration.engines import TorchEngine
from samdomain.adapters import AdaptFormer
from samdomain.injection import Injection, injections
from samdomain.lora import LoRA
from samdomain.sam import Prompts, Sam, SamLike, decode, encode
from samdomain.testing import tiny_sam

PIXELS = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 255


def masks(sam: SamLike) -> Tensor:
    with torch.no_grad():
        boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 30]]))
        return decode(sam, encode(sam, PIXELS), boxes).low_res


def trained(injection: Injection) -> Sam:
    sam = tiny_sam()
    injection(sam)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in sam.parameters():
            if one.requires_grad:
                one.add_(torch.randn(one.shape, generator=generator) * 0.1)
    return sam


@pytest.mark.parametrize("injection", [LoRA(), AdaptFormer(width=4)], ids=["folds", "stays"])
def test_what_was_injected_is_in_the_snapshot(
    injection: Injection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folded or kept, also after a pickle; the model itself stays as it was."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    monkeypatch.setattr(snapshot, "choose_engine", lambda sam: TorchEngine())
    sam = trained(injection)
    expected = masks(sam)
    fast = accelerate(sam)
    torch.testing.assert_close(masks(fast), expected, rtol=1e-4, atol=1e-4)
    again = pickle.loads(pickle.dumps(fast))
    torch.testing.assert_close(masks(again), expected, rtol=1e-4, atol=1e-4)
    assert [one.injection for one in injections(sam)] == [injection]
    assert not torch.allclose(expected, masks(tiny_sam()), atol=1e-2)


def test_values_outside_the_tensors_tell_snapshots_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tensors under another scale are another model."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    monkeypatch.setattr(snapshot, "choose_engine", lambda sam: TorchEngine())
    one, other = (
        masks(accelerate(trained(AdaptFormer(width=4, scale=scale)))) for scale in (0.1, 0.5)
    )
    assert not torch.equal(one, other)
