from types import SimpleNamespace

import pytest
import torch
from torch import nn

from samdomain.sam import Sam
from samdomain.testing import check_domain, check_sam

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
