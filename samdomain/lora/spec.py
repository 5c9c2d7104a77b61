"""LoRA as a value: which parts of a SAM get it, and how large."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypedDict, Unpack

from torch import nn

from samdomain.backbones.attention import Rows, qkv_rows
from samdomain.errors import InjectionError
from samdomain.injection import Injected, InjectedModule, Injection
from samdomain.lora.dora import DoRAConv2d, DoRALinear
from samdomain.lora.experts import ExpertLowRank
from samdomain.lora.layers import Layer, LoRAConv2d, LoRALinear, LowRank
from samdomain.parts import LAYERS, find_layers
from samdomain.sam import Sam

QUERIES_AND_VALUES = ("encoder.q", "encoder.v")
"""What SAMed, SamLP and WeSAM adapt in the encoder."""

_ALL = "all"  # name of the update of all of a layer's channels


@dataclass(frozen=True)
class LoRA(Injection):
    """Put low-rank updates beside the frozen weights of some parts.

    At the start the model's output is unchanged; merged, nothing of it is left but weights.
    Grouped convolutions take no low-rank update: they are skipped, and listed by `skipped`.

    Attributes:
        parts: names in `samdomain.parts.LAYERS`, as "encoder.q" or "decoder.v", or shell
            patterns over the names of linear layers and convolutions. `encoder.q`, `.k` and
            `.v` get an update each, `encoder.qkv` one for the fused layer.
        rank: channels of each update.
        alpha: the update is scaled by alpha / rank; the rank itself by default, which is a
            scale of 1 as SAMed, SamLP and WeSAM have it.
        dropout: share of an update's input that is dropped in training.
        rslora: scale by alpha / sqrt(rank) instead.
        dora: learn the length of each updated row beside its direction.
        last: update only the encoder's last so many blocks, and what follows them; the
            blocks before then need no gradients. Parts of the decoder are not touched by it.

    Raises:
        InjectionError: a value is out of its range.

    Source: Hu et al., LoRA (2021); Kalajdzievski, rsLoRA (2023); Liu et al., DoRA (2024).
    """

    kind: ClassVar[str] = "lora"
    parts: Sequence[str] = QUERIES_AND_VALUES
    rank: int = 4
    alpha: float | int | None = None
    dropout: float | int = 0.0
    rslora: bool = False
    dora: bool = False
    last: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that no layer could take."""
        if isinstance(self.parts, str) or not self.parts:
            raise InjectionError(
                f"LoRA needs a list of parts, given are {self.parts!r}: allowed are "
                f"{', '.join(LAYERS)}"
            )
        object.__setattr__(self, "parts", tuple(self.parts))  # JSON and YAML have lists
        if self.rank < 1:
            raise InjectionError(f"LoRA cannot have rank {self.rank}: give 1 or more, as 4")
        if not 0 <= self.dropout < 1:
            raise InjectionError(f"dropout {self.dropout} is not a share: give 0 up to below 1")

    @property
    def scale(self) -> float:
        """Factor of each update."""
        alpha = self.rank if self.alpha is None else self.alpha
        return alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make layers with updates for all layers of the parts."""
        layers = {name: layer for part in self.parts for name, layer in self._found(sam, part)}
        planned: dict[str, dict[str, Rows]] = {name: {} for name in layers}
        for part in self.parts:
            for name, layer in self._found(sam, part):
                _plan(planned[name], part, name, _rows(sam, part, name, layer))
        order = [name for name, _ in sam.named_modules() if name in layers]
        return {name: self._wrap(name, layers[name], planned[name]) for name in order}

    def skipped(self, sam: Sam) -> tuple[str, ...]:
        """Name the grouped convolutions of the parts, which get no update."""
        found = {n: m for part in self.parts for n, m in find_layers(sam, part, self.last).items()}
        return tuple(name for name, layer in found.items() if _is_grouped(layer))

    def _found(self, sam: Sam, part: str) -> list[tuple[str, Layer]]:
        found = find_layers(sam, part, self.last).items()
        return [(name, layer) for name, layer in found if not _is_grouped(layer)]

    def _wrap(self, name: str, layer: Layer, planned: Mapping[str, Rows]) -> InjectedModule:
        for rows in planned.values():
            largest = min(layer.weight[0].numel(), rows.count)
            if self.rank > largest:
                raise InjectionError(
                    f"rank {self.rank} is larger than {name!r} can take: give at most {largest}, "
                    "or leave the part out"
                )
        updates = {key: self._update(layer, rows) for key, rows in planned.items()}
        if isinstance(layer, nn.Linear):
            return (DoRALinear if self.dora else LoRALinear)(layer, updates)
        return (DoRAConv2d if self.dora else LoRAConv2d)(layer, updates)

    def _update(self, layer: Layer, rows: Rows) -> LowRank:
        return LowRank(layer, rows, self.rank, self.scale, self.dropout)


@dataclass(frozen=True)
class ConvLoRA(LoRA):
    """Put low-rank updates with convolutions at several scales between A and B.

    A gate picks one scale for each image, or window of it. What is added depends on the
    input, so that it cannot be merged. Only parts of the encoder, whose tokens lie on a square
    grid, can have it. Add `balance_loss` to the training loss, or the gate may use one scale
    only.

    Attributes:
        scales: factors by which the map is enlarged for each expert's convolution.

    Source: Zhong et al., Convolution Meets LoRA (2024), section 3.
    """

    kind: ClassVar[str] = "conv_lora"
    scales: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8)

    def __post_init__(self) -> None:
        """Refuse what has no image below it, or no meaning here."""
        super().__post_init__()
        object.__setattr__(self, "scales", tuple(self.scales))
        if foreign := [part for part in self.parts if not part.startswith(("encoder.", "image_"))]:
            raise InjectionError(
                f"Conv-LoRA works on maps, {foreign[0]!r} has none: give parts of the encoder"
            )
        if self.dora:
            raise InjectionError("Conv-LoRA has no fixed weight whose length DoRA could learn")
        if not self.scales or min(self.scales) < 1:
            raise InjectionError(f"scales are {self.scales}: give whole numbers from 1 on")

    def _update(self, layer: Layer, rows: Rows) -> LowRank:
        return ExpertLowRank(layer, rows, self.rank, self.scale, self.dropout, self.scales)


class LoRAOptions(TypedDict, total=False):
    """Further fields of `LoRA`, all optional."""

    alpha: float | int | None
    dropout: float | int
    rslora: bool
    dora: bool
    last: int | None


def add_lora(
    sam: Sam,
    parts: Iterable[str] = QUERIES_AND_VALUES,
    rank: int = 4,
    **options: Unpack[LoRAOptions],
) -> Injected:
    """Put low-rank updates into a model; the short form of `LoRA`.

    Args:
        sam: model to change.
        parts: see `LoRA`.
        rank: channels of each update.
        **options: further fields of `LoRA`.

    Returns:
        Injected: what was touched.

    Raises:
        InjectionError: a part matches nothing, the rank is larger than a layer, or a layer
            was injected before. The model is as it was.
    """
    return LoRA(tuple(parts), rank, **options)(sam)


def _is_grouped(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups > 1


def _rows(sam: nn.Module, part: str, name: str, layer: Layer) -> tuple[str, Rows]:
    slot = LAYERS[part].rows if part in LAYERS else ""
    if not slot:
        return _ALL, Rows.all(layer.weight.shape[0])
    return slot, qkv_rows(sam.get_submodule(name.rpartition(".")[0]))[slot]


def _plan(planned: dict[str, Rows], part: str, name: str, rows: tuple[str, Rows]) -> None:
    if planned and (_ALL in planned or rows[0] == _ALL):
        raise InjectionError(
            f"{part!r} names rows of {name!r} that another part names too: give 'encoder.qkv', "
            "or 'encoder.q', 'encoder.k' and 'encoder.v', each once"
        )
    planned[rows[0]] = rows[1]
