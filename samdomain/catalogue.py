"""Every kind of injection by its name in files."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from samdomain.errors import InjectionError
from samdomain.injection import Injection

INJECTIONS: Mapping[str, str] = {
    "lora": "samdomain.lora:LoRA",
    "conv_lora": "samdomain.lora:ConvLoRA",
    "peft": "samdomain.lora.peft_tuner:PeftTuner",
    "houlsby": "samdomain.adapters:Houlsby",
    "adaptformer": "samdomain.adapters:AdaptFormer",
    "medical_adapter": "samdomain.adapters:MedicalAdapter",
    "high_frequency_prompt": "samdomain.adapters:HighFrequencyPrompt",
    "prompt_tokens": "samdomain.prompt_tokens:PromptTokens",
    "prompt_map": "samdomain.prompt_tokens:PromptMap",
    "prefix": "samdomain.prompt_tokens:Prefix",
    "spectral": "samdomain.spectral:Spectral",
    "bands": "samdomain.bands:Bands",
    "class_tokens": "samdomain.classes:ClassTokens",
    "feature_head": "samdomain.features:FeatureHead",
    "pyramid_classes": "samdomain.classes:PyramidClasses",
    "change_head": "samdomain.change:ChangeHead",
}
"""Kinds that an adapter's file may name, and the class of each: imported when it is read."""


def injection_class(kind: str) -> type[Injection]:
    """Return the class of a kind of injection.

    Raises:
        InjectionError: the kind is unknown.
    """
    if kind not in INJECTIONS:
        raise InjectionError(
            f"injection {kind!r} is unknown to this release: known are {', '.join(INJECTIONS)}"
        )
    module, _, name = INJECTIONS[kind].partition(":")
    return getattr(import_module(module), name)


def read_injection(values: Mapping[str, Any]) -> Injection:
    """Read an injection of any kind back from `Injection.to_json`.

    Raises:
        InjectionError: the kind or a field is unknown, or a value cannot be used.
    """
    return injection_class(str(values.get("kind"))).from_json(values)
