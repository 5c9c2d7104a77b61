"""A learned map that is added to the patch embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from segment_anything.modeling.image_encoder import PatchEmbed as ViTPatchEmbed
from timm.models.tiny_vit import PatchEmbed as ConvStem
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.sam_vit import SamViT
from samdomain.backbones.tiny_vit import FlatStem, TinyViT
from samdomain.errors import InjectionError, MergeError
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown
from samdomain.sam import Sam


class _Mapped(InjectedModule):
    """Add a learned map to patch embeddings."""

    prompt: nn.Parameter  # (1, c, side, side)

    def resized(self, rows: int, columns: int) -> Tensor:
        if self.prompt.shape[-2:] == (rows, columns):
            return self.prompt
        return F.interpolate(self.prompt, (rows, columns), mode="bilinear", align_corners=False)

    def merged(self) -> nn.Module:
        raise MergeError("a map added to the patch embeddings has no place in the base's weights")


class MappedPatchEmbed(_Mapped, ViTPatchEmbed):
    """A ViT's patch embedding with a learned map."""

    def forward(self, x: Tensor) -> Tensor:
        """Embed patches, (b, c, s, s) to (b, h, w, dim)."""
        patches = super().forward(x)
        return patches + self.resized(*patches.shape[1:3]).permute(0, 2, 3, 1)


class MappedStem(_Mapped, ConvStem):
    """TinyViT's stem with a learned map."""

    def forward(self, x: Tensor) -> Tensor:
        """Embed patches, (b, c, s, s) to (b, dim, h, w)."""
        patches = super().forward(x)
        return patches + self.resized(*patches.shape[2:])


class MappedFlatStem(MappedStem, FlatStem):
    """LiteMedSAM's stem with a learned map."""


@dataclass(frozen=True)
class PromptMap(Injection):
    """Add a learned map, the same for every image, to the patch embeddings.

    The map is resized bilinearly to the embedding's grid, so it serves every input size. It is
    zero at the start.

    Attributes:
        side: rows and columns of the map; its values are side * side * the channels of a patch.

    Source: Bahng et al., Exploring Visual Prompts (2022), put behind the patch embedding; Jia
    et al., Visual Prompt Tuning (2022), table 5 ("add").
    """

    kind: ClassVar[str] = "prompt_map"
    side: int = 16

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the patch embedding with a map."""
        if self.side < 1:
            raise InjectionError(f"a map of {self.side} rows is empty: give 1 or more, as 16")
        encoder = sam.image_encoder
        if not isinstance(encoder, SamViT | TinyViT):
            raise InjectionError(
                f"the patch embedding of a {type(encoder).__name__} is not known: allowed are "
                "SAM's ViT and TinyViT"
            )
        stem = encoder.patch_embed
        dim = encoder.shape.dim if isinstance(encoder, SamViT) else encoder.shape.dims[0]
        kinds = {ViTPatchEmbed: MappedPatchEmbed, ConvStem: MappedStem, FlatStem: MappedFlatStem}
        if isinstance(stem, InjectedModule):
            return {"image_encoder.patch_embed": stem}  # taken: `inject` refuses it by name
        new = grown(stem, kinds[type(stem)])
        new.prompt = nn.Parameter(
            torch.zeros(1, dim, self.side, self.side).to(next(stem.parameters()))
        )
        return {"image_encoder.patch_embed": new}
