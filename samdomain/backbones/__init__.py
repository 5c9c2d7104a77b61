"""The catalogue of architectures: how each is built, and in which layout its files come."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from samdomain.backbones import sam_vit, tiny_vit
from samdomain.errors import WeightsError
from samdomain.sam import Sam, SamSpec

__all__ = ["BACKBONES", "Backbone", "recognise"]


@dataclass(frozen=True)
class Backbone:
    """Know how to build one architecture and how to read its published files.

    Attributes:
        spec: what its weights expect at their native size.
        build: makes the model with random weights for a spec, which is this one or
            `spec.at(input_size)`; the state dict has the same shapes at every size.
        read: renames the keys of a published state dict to those of the model.
        write: renames them back.
    """

    spec: SamSpec
    build: Callable[[SamSpec], Sam]
    read: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict
    write: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = dict


def _tiny_vit(spec: SamSpec, shape: tiny_vit.TinyViTShape, mlp_dim: int = 2048) -> Backbone:
    return Backbone(
        spec,
        partial(tiny_vit.build_tiny_vit_sam, shape=shape, mlp_dim=mlp_dim),
        tiny_vit.from_published,
        tiny_vit.to_published,
    )


def _sam_vit(name: str, shape: sam_vit.SamViTShape) -> Backbone:
    # Published files, MedSAM's among them, carry segment-anything's own names.
    return Backbone(sam_vit.vit_spec(name), partial(sam_vit.build_sam_vit, shape=shape))


_TINY_SPEC = SamSpec(name="tiny", input_size=64, embedding_stride=4, mask_size=64)
_TINY_SHAPE = tiny_vit.TinyViTShape(
    dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), heads=(1, 1, 2, 2), stem_stride=1
)

BACKBONES: Mapping[str, Backbone] = {
    "litemedsam": _tiny_vit(tiny_vit.LITEMEDSAM_SPEC, tiny_vit.LITEMEDSAM_SHAPE),
    "mobile_sam": _tiny_vit(tiny_vit.MOBILE_SAM_SPEC, tiny_vit.MOBILE_SAM_SHAPE),
    **{name: _sam_vit(name, shape) for name, shape in sam_vit.VIT_SHAPES.items()},
    "tiny": _tiny_vit(_TINY_SPEC, _TINY_SHAPE, mlp_dim=64),
}


def recognise(state: Mapping[str, Tensor]) -> Backbone:
    """Find the architecture that a state dict belongs to, by its keys and shapes.

    Raises:
        WeightsError: none fits; the nearest is named with what differs.
    """
    differences: dict[str, frozenset[tuple[str, torch.Size]]] = {}
    for name, backbone in BACKBONES.items():
        difference = _expected(backbone) ^ _shapes(backbone.read(state))
        if not difference:
            return backbone
        differences[name] = difference
    nearest = min(differences, key=lambda name: len(differences[name]))
    key, shape = min(differences[nearest])
    raise WeightsError(
        f"the checkpoint fits none of {', '.join(BACKBONES)}: nearest is {nearest!r}, with "
        f"{len(differences[nearest])} entries that differ, as {key!r} {tuple(shape)}"
    )


@cache
def _expected(backbone: Backbone) -> frozenset[tuple[str, torch.Size]]:
    with torch.device("meta"):
        return _shapes(backbone.build(backbone.spec).state_dict())


def _shapes(state: Mapping[str, Tensor]) -> frozenset[tuple[str, torch.Size]]:
    return frozenset((key, tensor.shape) for key, tensor in state.items())
