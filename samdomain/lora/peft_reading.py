"""Read LoRA from peft's files, ours and those that peft wrote itself; peft is not loaded."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from samdomain.errors import InjectionError
from samdomain.injection import Injected, InjectedModule
from samdomain.json_values import check_values
from samdomain.lora.layers import LoRALayer
from samdomain.lora.peft_layout import PeftUpdate, fill_layer, lora_layers, read_updates
from samdomain.lora.spec import LoRA
from samdomain.sam import Sam

# What a config may say without changing what its tensors mean; other fields must be empty.
_UNDERSTOOD = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "exclude_modules",
    "inference_mode", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout",
    "megatron_core", "peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern",
    "revision", "target_modules", "task_type", "use_dora", "use_rslora",
}  # fmt: skip
# Other ways to begin training change the base's own weights.
_INITIAL = {None, True, False, "gaussian", "eva", "orthogonal"}


def from_peft(
    sam: Sam, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[Injected, ...]:
    """Put LoRA from peft's file into a model: what peft computes, our layers compute.

    Fused layers are taken as one, as peft does it; layers with the same rank and alpha
    make one injection. To load a file that `to_peft` wrote into the injections that it was
    written from, use `fill_from_peft`.

    Args:
        sam: model without injections in these layers; changed.
        tensors: content of `adapter_model.safetensors`.
        config: content of `adapter_config.json`.

    Returns:
        tuple: records of the injections, also kept with the model.

    Raises:
        InjectionError: the file is not whole, was made for another model, or uses what our
            layers cannot do. The model is as it was.
    """
    updates = read_updates(tensors)
    _check_config(config)
    modules = dict(sam.named_modules())
    groups: dict[LoRA, list[str]] = {}
    for name, update in updates.items():
        _check_layer(sam, modules, name, update)
        groups.setdefault(_spec(config, name, len(update.down)), []).append(name)
    if not groups:
        raise InjectionError("the file holds no LoRA tensors")
    records = tuple(
        LoRA(tuple(names), spec.rank, spec.alpha, spec.dropout, spec.rslora, spec.dora)(sam)
        for spec, names in groups.items()
    )
    layers = lora_layers(sam)
    for name, update in updates.items():
        fill_layer(layers[name], name, update)
    return records


def fill_from_peft(sam: Sam, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Load peft's file into the LoRA that a model already has, q and v blocks folded back.

    Args:
        sam: model with the injections that the file was written from.
        tensors: content of `adapter_model.safetensors`.
        config: content of `adapter_config.json`.

    Raises:
        InjectionError: a layer is missing or unexpected, or rank, scale, rows or DoRA differ
            from the model's injections.
    """
    updates = read_updates(tensors)
    _check_config(config)
    layers = lora_layers(sam)
    if missing := layers.keys() - updates.keys():
        raise InjectionError(f"the file has nothing for the injected layer {min(missing)!r}")
    if unexpected := updates.keys() - layers.keys():
        raise InjectionError(f"the file updates {min(unexpected)!r}, which has no LoRA here")
    for name, layer in layers.items():
        _check_scale(layer, name, _spec(config, name, len(updates[name].down)).scale)
    for name, layer in layers.items():
        fill_layer(layer, name, updates[name])


def _spec(config: Mapping[str, Any], name: str, rank: int) -> LoRA:
    """Return the injection of one layer as the config states it."""
    stated = _pattern(config, "rank_pattern", name, config.get("r"))
    if stated != rank:
        raise InjectionError(
            f"the config states rank {stated} for {name!r}, its tensors have {rank}: the files do "
            "not belong together"
        )
    return LoRA(
        rank=rank,
        alpha=_pattern(config, "alpha_pattern", name, config.get("lora_alpha", rank)),
        dropout=config.get("lora_dropout") or 0.0,
        rslora=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
    )


def _pattern(config: Mapping[str, Any], field: str, name: str, default: Any) -> Any:
    patterns = cast(Mapping[str, Any], config.get(field) or {})
    for pattern, value in patterns.items():
        try:
            fits = re.match(rf"(.*\.)?({pattern})$", name)  # as peft matches
        except re.error as error:
            raise InjectionError(
                f"the config's {field} has no pattern {pattern!r}: {error}"
            ) from error
        if fits:
            return value
    return default


@dataclass(frozen=True)
class _Understood:
    """Types of the values that are computed with."""

    r: int
    lora_alpha: float
    lora_dropout: float | None
    init_lora_weights: str | bool | None
    rank_pattern: Mapping[str, int] | None
    alpha_pattern: Mapping[str, float] | None


def _check_config(config: Mapping[str, Any]) -> None:
    check_values(_Understood, config)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise InjectionError(
            f"the config is of peft's {kind!r}, only 'LORA' can be read: put other tuners in with "
            "add_peft"
        )
    if config.get("init_lora_weights", True) not in _INITIAL:
        raise InjectionError(
            f"init_lora_weights={config['init_lora_weights']!r} changes the base's weights: "
            "convert the adapter to plain LoRA with peft first"
        )
    for field, value in config.items():
        if field in _UNDERSTOOD or field == "init_lora_weights":
            continue
        if value and (field, value) != ("bias", "none"):
            raise InjectionError(
                f"the config's {field}={value!r} is not understood: only plain LoRA, rsLoRA and "
                "DoRA can be read"
            )


def _check_layer(sam: Sam, modules: Mapping[str, nn.Module], name: str, update: PeftUpdate) -> None:
    layer = modules.get(name)
    if not isinstance(layer, nn.Linear | nn.Conv2d) or isinstance(layer, InjectedModule):
        raise InjectionError(
            f"the file updates {name!r}, which is {type(layer).__name__} in {sam.spec.name!r}: "
            "it was made for another base, or the model is adapted already"
        )
    inputs, outputs = layer.weight.shape[1:], layer.weight.shape[0]
    if update.down.shape[1:] != inputs or len(update.up) != outputs:
        raise InjectionError(
            f"the file's update of {name!r} is for {len(update.up)} outputs and inputs "
            f"{tuple(update.down.shape[1:])}, the layer has {outputs} and {tuple(inputs)}"
        )
    if (rank := len(update.down)) > (largest := min(inputs.numel(), outputs)):
        raise InjectionError(
            f"the file has rank {rank} for {name!r}, which takes {largest} at most"
        )


def _check_scale(layer: LoRALayer, name: str, stated: float) -> None:
    scales = {one.scale for one in layer.updates().values()}
    if not all(math.isclose(scale, stated, rel_tol=1e-6) for scale in scales):
        raise InjectionError(
            f"the file scales the update of {name!r} by {stated}, the model by {min(scales)}: "
            "alpha or rank differ"
        )
