"""A snapshot of an adapted model is the adapted model."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samdomain.acceleration import accelerate, snapshot
from samdomain.acceleration.engines import TorchEngine
from samdomain.adapters import AdaptFormer, HighFrequencyPrompt
from samdomain.bands import Bands
from samdomain.injection import Injection, injections
from samdomain.lora import LoRA
from samdomain.prompt_tokens import PromptMap
from samdomain.sam import Prompts, Sam, SamLike, decode, encode

PIXELS = torch.rand((1, 5, 64, 64), generator=torch.Generator().manual_seed(0)) * 255

CASES: dict[str, tuple[Injection, ...]] = {
    "folds": (LoRA(),),
    "stays": (AdaptFormer(width=4),),
    "bands": (Bands(5, (4, 2, 0)),),
    "bands under what stays": (Bands(5), PromptMap(4), LoRA()),
    "bands within what stays": (Bands(5), HighFrequencyPrompt()),
}


@pytest.fixture(autouse=True)
def _torch_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain torch, and a cache of the test's own."""
    monkeypatch.setenv("SAMDOMAIN_CACHE", str(tmp_path))
    monkeypatch.setattr(snapshot, "choose_engine", lambda sam: TorchEngine())


def masks(sam: SamLike) -> Tensor:
    with torch.no_grad():
        boxes = Prompts(boxes=torch.tensor([[4.0, 4, 40, 30]]))
        return decode(sam, encode(sam, PIXELS[:, : sam.spec.input_channels]), boxes).low_res


@pytest.mark.parametrize("name", CASES)
def test_what_was_injected_is_in_the_snapshot(
    name: str, trained: Callable[..., Sam], tiny: Sam
) -> None:
    """Folded or kept, also after a pickle; the model itself stays as it was."""
    sam = trained(*CASES[name])
    expected = masks(sam)
    fast = accelerate(sam)
    torch.testing.assert_close(masks(fast), expected, rtol=1e-4, atol=1e-4)
    again = pickle.loads(pickle.dumps(fast))
    assert again.spec == sam.spec
    torch.testing.assert_close(masks(again), expected, rtol=1e-4, atol=1e-4)
    assert tuple(one.injection for one in injections(sam)) == CASES[name]
    assert not torch.allclose(expected, masks(tiny), atol=1e-2)


def test_values_outside_the_tensors_tell_snapshots_apart(trained: Callable[..., Sam]) -> None:
    """The same tensors under another scale are another model."""
    one, other = (
        masks(accelerate(trained(AdaptFormer(width=4, scale=scale)))) for scale in (0.1, 0.5)
    )
    assert not torch.equal(one, other)
