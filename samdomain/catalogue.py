"""Every kind of injection by its name in files."""

from collections.abc import Mapping
from typing import Any

from samdomain.adapters import Bottleneck
from samdomain.errors import InjectionError
from samdomain.injection import Injection
from samdomain.lora import ConvLoRA, LoRA

INJECTIONS: Mapping[str, type[Injection]] = {one.kind: one for one in (LoRA, ConvLoRA, Bottleneck)}


def read_injection(values: Mapping[str, Any]) -> Injection:
    """Read an injection of any kind back from `Injection.to_json`.

    Raises:
        InjectionError: the kind or a field is unknown.
    """
    kind = values.get("kind")
    if kind not in INJECTIONS:
        raise InjectionError(
            f"injection {kind!r} is unknown to this release: known are {', '.join(INJECTIONS)}"
        )
    return INJECTIONS[kind].from_json(values)
