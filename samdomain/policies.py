"""Which of a SAM's parameters train, by part, and a table of how many they are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from segment_anything.modeling.common import LayerNorm2d
from torch import nn

from samdomain.errors import InputError
from samdomain.injection import injections
from samdomain.parts import late_modules

PARTS: Mapping[str, str | tuple[str, ...]] = {
    "encoder": "image_encoder.",
    "encoder.neck": "image_encoder.neck.",
    "decoder": "mask_decoder.",
    "decoder.tokens": ("mask_decoder.iou_token.", "mask_decoder.mask_tokens."),
    "prompt_encoder": "prompt_encoder.",
    "prompt_encoder.null": "prompt_encoder.no_mask_embed.",
    "prompt_encoder.clicks": (
        "prompt_encoder.point_embeddings.0.",
        "prompt_encoder.point_embeddings.1.",
        "prompt_encoder.not_a_point_embed.",
    ),
    "prompt_encoder.masks": "prompt_encoder.mask_downscaling.",
    "all": "",
}
"""Parts that can be frozen or trained, and how the names of their parameters begin.

Each can be narrowed: "encoder.norms" are its normalisations, "encoder.biases" its biases.
"prompt_encoder.null" is what stands for a mask that was not given, "prompt_encoder.clicks" what
tells a click on an object from one beside it; boxes have embeddings of their own.
"""

_NORMS = (nn.LayerNorm, nn.BatchNorm2d, nn.GroupNorm, LayerNorm2d)
_SORTS = (".norms", ".biases")


def train_parts(sam: nn.Module, parts: Iterable[str], last: int | None = None) -> list[str]:
    """Let parts train, in the model itself; other parts stay as they are.

    Args:
        sam: model whose parameters are set.
        parts: names in `PARTS`, with ".norms" or ".biases" behind them or not, as "decoder" or
            "encoder.norms"; what injections added to a part belongs to it.
        last: of the encoder, take only its last so many blocks and the neck.

    Returns:
        list: names of the parameters, in the model's order.

    Raises:
        InputError: a part is unknown, or has no parameter.
    """
    return _set(sam, parts, last, trains=True)


def freeze_parts(sam: nn.Module, parts: Iterable[str], last: int | None = None) -> list[str]:
    """Stop parts from training, in the model itself; other parts stay as they are.

    Args:
        sam: model whose parameters are set.
        parts: see `train_parts`.
        last: see `train_parts`.

    Returns:
        list: names of the parameters, in the model's order.

    Raises:
        InputError: a part is unknown, or has no parameter.
    """
    return _set(sam, parts, last, trains=False)


def train_only(sam: nn.Module, parts: Iterable[str] = (), last: int | None = None) -> list[str]:
    """Freeze the base, and let some of its parts train beside what injections added.

    Args:
        sam: model whose parameters are set, in itself.
        parts: see `train_parts`; none leaves what injections added alone.
        last: see `train_parts`.

    Returns:
        list: names of the base's parameters that train, in the model's order.

    Raises:
        InputError: a part is unknown, or has no parameter.
    """
    added = {key for record in injections(sam) for key in record.added}
    parameters = dict(sam.named_parameters())
    wanted = [name for name in _names(sam, parts, last) if name not in added]
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in added or name in wanted)
    return wanted


@dataclass(frozen=True)
class PartCount:
    """Count the parameters of one part: `trainable` of `total` values."""

    part: str
    trainable: int
    total: int

    @property
    def percent(self) -> float:
        """Trainable share in percent."""
        return 100 * self.trainable / self.total if self.total else 0.0


@dataclass(frozen=True)
class ParameterTable:
    """Count what trains in each part of a model; printed, it is a table.

    Attributes:
        parts: counts of the model's parts.
        names: names of the parameters that train.
    """

    parts: tuple[PartCount, ...]
    names: tuple[str, ...]

    @property
    def trainable(self) -> int:
        """Number of values that train."""
        return sum(part.trainable for part in self.parts)

    @property
    def total(self) -> int:
        """Number of values."""
        return sum(part.total for part in self.parts)

    @property
    def percent(self) -> float:
        """Trainable share in percent."""
        return PartCount("all", self.trainable, self.total).percent

    def __str__(self) -> str:
        rows = (*self.parts, PartCount("all", self.trainable, self.total))
        width = max(len(row.part) for row in rows)
        head = f"{'part':<{width}}  {'trainable':>13}  {'total':>13}  {'percent':>8}"
        lines = [
            f"{row.part:<{width}}  {row.trainable:>13,}  {row.total:>13,}  {row.percent:>8.3f}"
            for row in rows
        ]
        return "\n".join((head, *lines))


def trainable_parameters(sam: nn.Module) -> ParameterTable:
    """Count the parameters of a model that train, part by part.

    Returns:
        ParameterTable: one row a part; print it for a table.
    """
    counts: dict[str, list[int]] = {}
    for name, parameter in sam.named_parameters():
        count = counts.setdefault(name.partition(".")[0], [0, 0])
        count[0] += parameter.numel() * parameter.requires_grad
        count[1] += parameter.numel()
    return ParameterTable(
        tuple(PartCount(part, trainable, total) for part, (trainable, total) in counts.items()),
        tuple(name for name, one in sam.named_parameters() if one.requires_grad),
    )


def _set(sam: nn.Module, parts: Iterable[str], last: int | None, *, trains: bool) -> list[str]:
    names = _names(sam, parts, last)
    parameters = dict(sam.named_parameters())
    for name in names:
        parameters[name].requires_grad_(trains)
    return names


def _names(sam: nn.Module, parts: Iterable[str], last: int | None) -> list[str]:
    wanted: set[str] = set()
    for part in parts:
        found = _of_part(sam, part, last)
        if not found:
            raise InputError(f"part {part!r} has no parameters in this model: leave it out")
        wanted |= found
    return [name for name, _ in sam.named_parameters() if name in wanted]


def _of_part(sam: nn.Module, part: str, last: int | None) -> set[str]:
    place, _, sort = part.rpartition(".") if part.endswith(_SORTS) else (part, "", "")
    if place not in PARTS:
        raise InputError(
            f"part {part!r} is unknown: allowed are {', '.join(PARTS)}, each as it is or with "
            f"{' or '.join(_SORTS)} behind it"
        )
    late = None if last is None else late_modules(sam, last)
    names = {name for name, _ in sam.named_parameters() if name.startswith(PARTS[place])}
    if sort == "biases":
        names = {name for name in names if name.endswith(".bias")}
    if sort == "norms":
        names &= _of_norms(sam)
    return {name for name in names if late is None or _is_late(name, late)}


def _of_norms(sam: nn.Module) -> set[str]:
    norms = {name for name, module in sam.named_modules() if isinstance(module, _NORMS)}
    return {name for name, _ in sam.named_parameters() if name.rpartition(".")[0] in norms}


def _is_late(name: str, late: frozenset[str]) -> bool:
    return not name.startswith("image_encoder.") or name.rpartition(".")[0] in late
