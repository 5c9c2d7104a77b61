"""The model card of an adapter: what a person reads before using it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samdomain.adapter_file.description import Adapter

_SHOWN = 6
_LOADING = """```python
from samdomain import load_adapter

sam = load_adapter(FOLDER).sam
```"""
_ASKING = """```python
from samdomain import load_segmenter

segmenter, card = load_segmenter(FOLDER)
probabilities = segmenter.probabilities(images)  # (B, channels, H, W)
```"""


def model_card(adapter: Adapter, lora: int, others: Sequence[str]) -> str:
    """Write the model card in the form that model hubs read: front matter and Markdown.

    Args:
        adapter: the adapter.
        lora: how many tensors stand in peft's file.
        others: names of the tensors that stand in ours.
    """
    card = adapter.card
    parts = [
        _front_matter(adapter),
        f"# {card.recipe or 'Adapter'} for {adapter.base.name}",
        card.summary,
        "## Use",
        _use(adapter),
        "## What it changes",
        _table(("injection", "values"), (_injection(one.to_json()) for one in adapter.injections)),
        _peft_alone(lora, others),
        "## Training",
        _training(adapter),
        "## Figures",
        _figures(card.metrics),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(adapter: Adapter) -> str:
    licence = adapter.card.licence
    named = [f"license: {licence.lower()}"]
    if " " in licence:  # no identifier of SPDX, which alone has a place there
        named = ["license: other", f"license_name: {json.dumps(licence)}"]
    lines = (
        "---",
        *named,
        f"base_model: {adapter.base.name}",
        "library_name: samdomain",
        "tags: [segment-anything, peft]",
        "---",
    )
    return "\n".join(lines)


def _use(adapter: Adapter) -> str:
    spec = adapter.spec
    facts = {
        "base": f"{adapter.base.name} (SHA-256 {adapter.base.sha256 or 'none: random weights'})",
        "output": adapter.card.output,
        "input": f"{spec.input_size} px, {spec.input_channels} channels",
        "prompts": ", ".join(sorted(spec.prompts)),
        "intended use": adapter.card.intended_use,
        "modality": adapter.card.modality,
        "classes": ", ".join(adapter.card.classes),
        "pixel size in training": f"{adapter.card.pixel_size} m" if adapter.card.pixel_size else "",
        "side of images in training": f"{adapter.card.chip_size} px"
        if adapter.card.chip_size
        else "",
    }
    code = _ASKING if adapter.card.output == "semantic" and adapter.card.recipe else _LOADING
    return "\n".join([*(f"- {k}: {v}" for k, v in facts.items() if v), "", code])


def _injection(values: Mapping[str, Any]) -> tuple[str, str]:
    own = [f"{name} {value}" for name, value in values.items() if name != "kind"]
    return str(values["kind"]), ", ".join(own)


def _peft_alone(lora: int, others: Sequence[str]) -> str:
    if not others:
        return "peft reads this folder in full." if lora else ""
    named = ", ".join(f"`{name}`" for name in others[:_SHOWN])
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    start = f"peft alone reads the {lora} tensors of LoRA" if lora else "peft reads nothing of it"
    return f"{start}; it would miss {len(others)} others: {named}{more}."


def _training(adapter: Adapter) -> str:
    rows = ((one.name, one.licence, one.source) for one in adapter.card.data)
    table = _table(("data", "licence", "source"), rows)
    return table or "No data is stated."


def _figures(metrics: Mapping[str, Any]) -> str:
    return _table(("figure", "value"), ((name, str(value)) for name, value in metrics.items()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body])
