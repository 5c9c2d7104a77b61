"""Write LoRA as peft does, so that peft alone opens it."""

import json
import math
from collections import Counter
from typing import Any

from peft import LoraConfig, PeftConfig
from torch import Tensor, nn

from samdomain.errors import InjectionError
from samdomain.lora.dora import DoRALayer
from samdomain.lora.layers import LoRALayer
from samdomain.lora.peft_layout import lora_layers, to_update


def to_peft(sam: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a model's LoRA as peft writes it.

    Updates of q and v in a fused layer are one of twice the rank, with alpha such that the
    scale stays; rank_pattern and alpha_pattern say so where layers differ.

    Args:
        sam: model with LoRA; other injections in it are left out.

    Returns:
        tuple: content of `adapter_model.safetensors`, and of `adapter_config.json` as values
            that JSON can hold.

    Raises:
        InjectionError: the model has no LoRA, or only some of its layers have DoRA, which one
            file of peft cannot say.
    """
    layers = lora_layers(sam)
    if not layers:
        raise InjectionError("the model has no LoRA to write: put it in with add_lora")
    dora = {isinstance(layer, DoRALayer) for layer in layers.values()}
    if len(dora) > 1:
        raise InjectionError("peft's file has DoRA in all layers or in none: use one of both")
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        tensors |= to_update(layer).tensors(name)
    ranks = {
        name: sum(one.rank for one in layer.updates().values()) for name, layer in layers.items()
    }
    alphas = {name: _alpha(layer, ranks[name]) for name, layer in layers.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType] - peft takes fractions too
        lora_dropout=_dropout(next(iter(layers.values()))),
        target_modules=list(layers),
        rank_pattern={name: one for name, one in ranks.items() if one != rank},
        alpha_pattern={name: one for name, one in alphas.items() if one != alpha},
        use_dora=dora == {True},
        inference_mode=True,
    )
    return tensors, config_json(config)


def _alpha(layer: LoRALayer, rank: int) -> float | int:
    """Return the alpha that keeps a layer's scale at the rank in the file."""
    alpha = next(iter(layer.updates().values())).scale * rank
    return round(alpha) if math.isclose(alpha, round(alpha), rel_tol=1e-9) else alpha


def _dropout(layer: LoRALayer) -> float:
    return next(iter(layer.updates().values())).dropout.p


def config_json(config: PeftConfig) -> dict[str, Any]:
    """Return a config as it reads from the file that peft writes."""
    return json.loads(json.dumps(config.to_dict(), default=sorted))  # sets become lists
