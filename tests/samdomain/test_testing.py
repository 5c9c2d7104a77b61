from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn

from samdomain.injection import Injected, InjectedModule, Injection
from samdomain.sam import Sam
from samdomain.testing import check_domain, check_injection, check_sam

pytestmark = pytest.mark.contract


def test_tiny_keeps_the_contract(tiny: Sam) -> None:
    """The SAM for tests passes the check that every backbone passes."""
    check_sam(tiny)


def test_litemedsam_keeps_the_contract(litemedsam: Sam) -> None:
    """The embedded weights pass it too."""
    check_sam(litemedsam)


class Mixing(nn.Module):
    """A decoder that lets the prompts of a batch see one another."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, **parts: object) -> tuple[torch.Tensor, torch.Tensor]:
        masks, iou = self.decoder(**parts)
        return masks - masks.mean(dim=0, keepdim=True), iou


def test_a_broken_decoder_fails_the_check(tiny: Sam) -> None:
    """A decoder whose result depends on the batch is caught."""
    broken = Sam(tiny.image_encoder, tiny.prompt_encoder, Mixing(tiny.mask_decoder), tiny.spec)
    with pytest.raises(AssertionError, match="in a batch differs"):
        check_sam(broken)


@pytest.mark.usefixtures("unchecked")
def test_a_domain_without_docstrings_fails_the_check() -> None:
    """A verb without a docstring has no help text, and is caught."""
    domain = SimpleNamespace(name="x", verbs=lambda: {"go": lambda: None}, recipes=dict)
    with pytest.raises(AssertionError, match="verbs 'go'"):
        check_domain(domain)


class Shifted(InjectedModule, nn.Linear):
    """Add a learned value to a linear layer's outputs."""

    def __init__(self, base: nn.Linear, start: float) -> None:
        super().__init__(base.in_features, base.out_features, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.shift = nn.Parameter(torch.tensor(start))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + self.shift

    def merged(self) -> nn.Linear:
        plain = nn.Linear(self.in_features, self.out_features)
        plain.weight, plain.bias = self.weight, nn.Parameter(self.bias.detach().clone())
        return plain


@dataclass(frozen=True)
class Shift(Injection):
    kind: ClassVar[str] = "shift"
    start: float = 0.0

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        name = "mask_decoder.output_hypernetworks_mlps.0.layers.2"
        return {n: Shifted(m, self.start) for n, m in sam.named_modules() if n == name}


def thawed(sam: Sam) -> Injected:
    record = Shift()(sam)
    sam.mask_decoder.requires_grad_(True)
    return record


@pytest.mark.parametrize(
    ("inject", "message"),
    [
        (Shift(start=1.0), "before anything was trained"),
        (thawed, "trains or not"),
        (Shift(), "merged, the logits differ"),
    ],
)
def test_a_broken_injection_fails_the_check(
    tiny: Sam, inject: Callable[[Sam], Injected], message: str
) -> None:
    """An injection that is heard, trains the base or is lost in a merge is caught."""
    with pytest.raises(AssertionError, match=message):
        check_injection(tiny, inject)
