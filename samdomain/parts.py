"""The map of a SAM: which of its layers are meant when a part is named by intent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from samdomain.errors import InjectionError


@dataclass(frozen=True)
class Place:
    """Say where a part lies in every SAM that has it.

    Attributes:
        pattern: shell pattern over the dotted names of layers; "*" crosses dots.
        rows: which output channels of a fused layer are meant; all of them if empty.
    """

    pattern: str
    rows: str = ""


LAYERS: Mapping[str, Place] = {
    "encoder.q": Place("image_encoder.*.attn.qkv", "q"),
    "encoder.k": Place("image_encoder.*.attn.qkv", "k"),
    "encoder.v": Place("image_encoder.*.attn.qkv", "v"),
    "encoder.qkv": Place("image_encoder.*.attn.qkv"),
    "encoder.proj": Place("image_encoder.*.attn.proj"),
    "encoder.mlp": Place("image_encoder.*.mlp.*"),
    "encoder.conv": Place("image_encoder.stages.*.conv"),
    "encoder.neck": Place("image_encoder.neck.*"),
    "decoder.q": Place("mask_decoder.transformer.*.q_proj"),
    "decoder.k": Place("mask_decoder.transformer.*.k_proj"),
    "decoder.v": Place("mask_decoder.transformer.*.v_proj"),
    "decoder.proj": Place("mask_decoder.transformer.*.out_proj"),
    "decoder.mlp": Place("mask_decoder.transformer.*.mlp.*"),
}
"""Parts made of linear layers and convolutions, by name: one table for all backbones.

`encoder.conv` are the convolutions of TinyViT's stages; `encoder.qkv` takes the fused layer as
one, `encoder.q`, `encoder.k` and `encoder.v` take its rows apart.
"""

# A block of a ViT, or of a stage of TinyViT.
_BLOCK = re.compile(r"image_encoder\.(stages\.\d+\.)?blocks\.\d+")


def find_layers(
    sam: nn.Module, part: str, last: int | None = None
) -> dict[str, nn.Linear | nn.Conv2d]:
    """Find the linear layers and convolutions of a part.

    Args:
        sam: model to search.
        part: name in `LAYERS`, or a shell pattern over dotted names of layers.
        last: take only what lies in the last blocks of the encoder, see `late_modules`.

    Returns:
        dict: layers by dotted name, in the model's order.

    Raises:
        InjectionError: the model has no such layer.
    """
    pattern = LAYERS[part].pattern if part in LAYERS else part
    layers = {n: m for n, m in sam.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    found = {name: layer for name, layer in layers.items() if fnmatchcase(name, pattern)}
    if not found:
        raise InjectionError(
            f"part {part!r} matches no layer of this model: allowed are {', '.join(LAYERS)}, or a "
            f"pattern over the names of its {len(layers)} layers, as {next(iter(layers), '*')!r}"
        )
    if last is None:
        return found
    late = late_modules(sam, last)
    return {
        name: layer
        for name, layer in found.items()
        if name in late or not name.startswith("image_encoder.")
    }


def late_modules(sam: nn.Module, last: int) -> frozenset[str]:
    """Name the encoder's modules that run from the N-th last block on, the neck included.

    What comes before needs no gradient as long as nothing in it trains.

    Args:
        sam: model to search.
        last: number of blocks N, counted over all stages of the encoder.

    Raises:
        InjectionError: the encoder has fewer blocks.
    """
    names = [name for name, _ in sam.named_modules() if name.startswith("image_encoder.")]
    blocks = [i for i, name in enumerate(names) if _BLOCK.fullmatch(name)]
    if not 1 <= last <= len(blocks):
        raise InjectionError(
            f"the encoder has {len(blocks)} blocks, asked for are its last {last}: "
            f"give a number from 1 to {len(blocks)}"
        )
    return frozenset(names[blocks[-last] :])
