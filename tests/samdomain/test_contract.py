"""Every kind of injection keeps to what only processes or the whole catalogue can show."""

from collections.abc import Callable

import pytest

from samdomain.adapters import AdaptFormer, HighFrequencyPrompt, Houlsby, MedicalAdapter
from samdomain.bands import Bands
from samdomain.catalogue import INJECTIONS, injection_class
from samdomain.change import ChangeHead
from samdomain.classes import ClassTokens, PyramidClasses
from samdomain.features import FeatureHead
from samdomain.injection import Injection
from samdomain.lora import ConvLoRA, LoRA
from samdomain.lora.peft_tuner import PeftTuner
from samdomain.prompt_tokens import Prefix, PromptMap, PromptTokens
from samdomain.sam import Sam
from samdomain.spectral import Spectral
from samdomain.testing import check_distributed

ONE_OF_EACH: tuple[Injection, ...] = (
    LoRA(("encoder.q", "encoder.v", "encoder.conv", "decoder.q", "decoder.v")),
    LoRA(("encoder.qkv",), rslora=True, alpha=8, last=1),
    LoRA(("encoder.q", "encoder.conv", "decoder.mlp"), dora=True),
    ConvLoRA(("encoder.mlp",), last=1),
    Houlsby(),
    AdaptFormer(width=4),
    MedicalAdapter(),
    HighFrequencyPrompt(),
    PromptTokens(2),
    Prefix(2),
    PromptMap(4),
    Spectral(),
    Bands(5),
    ClassTokens(2),
    PyramidClasses(2),
    ChangeHead(),
    FeatureHead(16),
    PeftTuner({"peft_type": "LOHA", "target_modules": ["qkv"], "r": 2}),
)


@pytest.mark.contract
def test_every_kind_has_its_name() -> None:
    """The catalogue leads from each kind to the class that has it, and no kind is left out here."""
    assert {kind: injection_class(kind).kind for kind in INJECTIONS} == {k: k for k in INJECTIONS}
    assert {one.kind for one in ONE_OF_EACH} == set(INJECTIONS)


def test_processes_train_together(trained: Callable[..., Sam]) -> None:
    """Two processes agree after training, experts that none of their maps chose included."""
    check_distributed(*(trained(one) for one in ONE_OF_EACH))
