"""Every kind of injection by its name in files."""

from collections.abc import Mapping
from typing import Any

from samdomain.adapters import AdaptFormer, HighFrequencyPrompt, Houlsby, MedicalAdapter
from samdomain.bands import Bands
from samdomain.errors import InjectionError
from samdomain.injection import Injection
from samdomain.lora import ConvLoRA, LoRA
from samdomain.lora.peft_tuner import PeftTuner
from samdomain.prompt_tokens import Prefix, PromptMap, PromptTokens
from samdomain.spectral import Spectral

_ALL: tuple[type[Injection], ...] = (
    LoRA,
    ConvLoRA,
    PeftTuner,
    Houlsby,
    AdaptFormer,
    MedicalAdapter,
    HighFrequencyPrompt,
    PromptTokens,
    PromptMap,
    Prefix,
    Spectral,
    Bands,
)

INJECTIONS: Mapping[str, type[Injection]] = {one.kind: one for one in _ALL}
"""Kinds that an adapter's file may name."""


def read_injection(values: Mapping[str, Any]) -> Injection:
    """Read an injection of any kind back from `Injection.to_json`.

    Raises:
        InjectionError: the kind or a field is unknown.
    """
    kind = str(values.get("kind"))
    if kind not in INJECTIONS:
        raise InjectionError(
            f"injection {kind!r} is unknown to this release: known are {', '.join(INJECTIONS)}"
        )
    return INJECTIONS[kind].from_json(values)
