"""How our updates lie in the tensors of peft's files.

peft knows one update a layer. Those of q and v in a fused layer become one of twice the rank:
A stacked, B zero but for two blocks, and the scale as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from samdomain.errors import InjectionError
from samdomain.lora.dora import DoRALayer, row_lengths
from samdomain.lora.experts import ExpertLowRank
from samdomain.lora.layers import LoRALayer

PREFIX = "base_model.model."
"""What peft puts before the name of each layer."""


@dataclass(frozen=True)
class PeftUpdate:
    """Hold what peft stores for one layer.

    Attributes:
        down: A, of shape (r, in) or (r, in, kh, kw).
        up: B, of shape (out, r) or (out, r, 1, 1).
        magnitude: DoRA's length of each row as peft shapes it, (out,) or (1, out, 1, 1).
    """

    down: Tensor
    up: Tensor
    magnitude: Tensor | None = None

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors by their keys in a file, for the layer of a dotted name."""
        found = {_key(name, "lora_A.weight"): self.down, _key(name, "lora_B.weight"): self.up}
        if self.magnitude is not None:
            found[_key(name, "lora_magnitude_vector")] = self.magnitude
        return found


def lora_layers(sam: nn.Module) -> dict[str, LoRALayer]:
    """Return the layers with updates that peft's format can hold, by dotted name.

    Conv-LoRA is not among them.
    """
    layers = {name: m for name, m in sam.named_modules() if isinstance(m, LoRALayer)}
    return {
        name: layer
        for name, layer in layers.items()
        if not any(isinstance(one, ExpertLowRank) for one in layer.updates().values())
    }


def peft_covers(sam: nn.Module) -> frozenset[str]:
    """Return the keys of a model's state dict that peft's format can hold."""
    return frozenset(
        key
        for name, layer in lora_layers(sam).items()
        for key in layer.state_dict(prefix=f"{name}.")
        if key.startswith((f"{name}.lora.", f"{name}.magnitudes."))
    )


def to_update(layer: LoRALayer) -> PeftUpdate:
    """Return a layer's updates as the one that peft stores."""
    updates = layer.updates().values()
    down = torch.cat([one.down.weight for one in updates])
    up = layer.weight.new_zeros(layer.weight.shape[0], len(down), *(1,) * (down.ndim - 2))
    column = 0
    for one in updates:
        one.rows.add(up[:, column : column + one.rank], one.up.weight.detach(), -up.ndim)
        column += one.rank
    return PeftUpdate(down.detach().clone(), up, _magnitude(layer))


def fill_layer(layer: LoRALayer, name: str, update: PeftUpdate) -> None:
    """Copy what peft stored into a layer's updates.

    Raises:
        InjectionError: shapes differ, or the file updates rows that the layer does not.
    """
    expected = to_update(layer)
    for what, found, wanted in (
        ("lora_A", update.down, expected.down),
        ("lora_B", update.up, expected.up),
        ("lora_magnitude_vector", update.magnitude, expected.magnitude),
    ):
        _check_shape(f"{name}.{what}", found, wanted)
    with torch.no_grad():
        rest = update.up.clone()
        column = 0
        for one in layer.updates().values():
            columns = slice(column, column + one.rank)
            one.down.weight.copy_(update.down[columns])
            block = one.rows.of(rest[:, columns], -rest.ndim)
            one.up.weight.copy_(block.flatten(0, 1))
            block.zero_()
            column += one.rank
        if rest.any():
            raise InjectionError(
                f"the file updates other rows of {name!r} than the model's injection does: load "
                "it into a model without injections"
            )
        if isinstance(layer, DoRALayer) and update.magnitude is not None:
            lengths = update.magnitude.flatten()
            for key, one in layer.updates().items():
                layer.magnitudes[key].copy_(one.rows.of(lengths, -1).flatten())


def read_updates(tensors: Mapping[str, Tensor]) -> dict[str, PeftUpdate]:
    """Sort the tensors of a file by the layers that they update.

    Raises:
        InjectionError: a tensor belongs to no update, or an update is not whole.
    """
    rest = dict(tensors)
    updates: dict[str, PeftUpdate] = {}
    for key in tensors:
        name, found, _ = key.removeprefix(PREFIX).partition(".lora_A.weight")
        if not found:
            continue
        down, up, magnitude = (
            rest.pop(_key(name, what), None)
            for what in ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
        )
        if down is None or up is None:
            raise InjectionError(f"the file has lora_A of {name!r} but no lora_B: it is not whole")
        updates[name] = PeftUpdate(down, up, magnitude)
    if rest:
        raise InjectionError(
            f"the file's tensor {min(rest)!r} is no part of LoRA: only lora_A, lora_B and "
            "lora_magnitude_vector can be read"
        )
    return updates


def _key(name: str, what: str) -> str:
    return f"{PREFIX}{name}.{what}"


def _magnitude(layer: LoRALayer) -> Tensor | None:
    if not isinstance(layer, DoRALayer):
        return None
    lengths = row_lengths(layer.weight.detach()).clone()
    for key, one in layer.updates().items():
        rows = one.rows.of(lengths, -1)
        rows.copy_(layer.magnitudes[key].detach().unflatten(0, rows.shape))
    # peft keeps a convolution's lengths in the shape that multiplies its maps.
    return lengths.reshape(1, -1, 1, 1) if isinstance(layer, nn.Conv2d) else lengths


def _check_shape(what: str, found: Tensor | None, wanted: Tensor | None) -> None:
    if (found is None) != (wanted is None):
        raise InjectionError(
            f"{what} is {'missing from the file' if found is None else 'not asked for'}: file and "
            "injection must agree on DoRA"
        )
    if found is not None and wanted is not None and found.shape != wanted.shape:
        raise InjectionError(
            f"{what} has shape {tuple(found.shape)} in the file, {tuple(wanted.shape)} in the "
            "model: rank, parts or base differ"
        )
