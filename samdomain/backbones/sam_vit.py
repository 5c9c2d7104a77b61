"""SAM's own ViT-B, ViT-L and ViT-H on segment-anything's blocks, for any input size."""

from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from segment_anything.modeling import ImageEncoderViT
from timm.layers.pos_embed import resample_abs_pos_embed_nhwc
from torch import Tensor, nn

from samdomain.backbones.decoder import EMBEDDING_CHANNELS, build_mask_decoder, build_prompt_encoder
from samdomain.errors import InputError
from samdomain.sam import Sam, SamSpec
from samdomain.sam.stepwise import Step, StepwiseEncoder, apply, keep

_PATCH = 16  # pixels a side, in all published weights


@dataclass(frozen=True)
class SamViTShape:
    """Fix the sizes of a SAM ViT.

    Attributes:
        dim: channels of a token.
        depth: number of blocks.
        heads: attention heads of each block.
        global_blocks: indices of the blocks that attend over the whole image; the others
            attend within windows of 14 x 14 tokens.
        native_size: side of the input in pixels that the checkpoint's tables are made for.
    """

    dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    native_size: int = 1024


class SamViT(StepwiseEncoder, ImageEncoderViT):  # pyright: ignore[reportIncompatibleMethodOverride] - our encoders give levels too
    """Encode images of any size that is a multiple of 16 with SAM's ViT.

    Parameters, their names and their shapes are those of segment-anything's encoder at the
    native size, so a published checkpoint loads as it is, whatever size is run. At another
    size the absolute position embedding is resampled on the fly, bicubic with antialiasing as
    timm does it; segment-anything itself interpolates the relative positions. At the native
    size nothing is resampled.

    Source: Kirillov et al., Segment Anything (2023), section 3 and appendix A; Li et al.,
    Exploring Plain Vision Transformer Backbones for Object Detection (2022).
    """

    def __init__(self, shape: SamViTShape, input_channels: int = 3) -> None:
        super().__init__(
            img_size=shape.native_size,
            patch_size=_PATCH,
            in_chans=input_channels,
            embed_dim=shape.dim,
            depth=shape.depth,
            num_heads=shape.heads,
            out_chans=EMBEDDING_CHANNELS,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),  # pyright: ignore[reportArgumentType] - called only
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=shape.global_blocks,
        )
        self.shape = shape

    @property
    def level_channels(self) -> dict[int, int]:
        """Channels of the last block's map, at stride 16."""
        return {_PATCH: self.shape.dim}

    def steps(self) -> list[Step]:
        """Return patches with their positions, blocks and neck.

        The map at stride 16 is the last block's (B, dim, S / 16, S / 16).
        """
        position = () if self.pos_embed is None else (self.pos_embed,)
        return [
            apply(self.patches, self.patch_embed),
            apply(self.place, *position),
            *(apply(block) for block in self.blocks),
            *self.tail(),
        ]

    def tail(self) -> list[Step]:
        """Return the steps behind the last block: its map is kept, the neck ends."""
        return [keep(_PATCH, _channels_first), apply(_channels_first), apply(self.neck)]

    def patches(self, pixels: Float[Tensor, "b c s s"]) -> Float[Tensor, "b h w dim"]:
        """Embed each patch of the images by itself.

        Raises:
            InputError: the side of the images is not a multiple of 16 pixels.
        """
        rows, columns = pixels.shape[-2:]
        if rows % _PATCH or columns % _PATCH:
            raise InputError(
                f"SAM's ViT was given images of {rows} x {columns} pixels: give sides that are "
                f"multiples of {_PATCH}, as load_sam(..., input_size=512) prepares them"
            )
        return self.patch_embed(pixels)

    def place(self, patches: Float[Tensor, "b h w dim"]) -> Float[Tensor, "b h w dim"]:
        """Add the position to each patch: the tokens that the first block reads."""
        if self.pos_embed is None:
            return patches
        return patches + resample_abs_pos_embed_nhwc(self.pos_embed, list(patches.shape[1:3]))


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def build_sam_vit(spec: SamSpec, shape: SamViTShape, mlp_dim: int = 2048) -> Sam:
    """Build a SAM with a ViT encoder and random weights.

    Args:
        spec: what the weights will expect; its input size may differ from the native one.
        shape: sizes of the encoder.
        mlp_dim: see `build_mask_decoder`.
    """
    encoder = SamViT(shape, spec.input_channels)
    return Sam(encoder, build_prompt_encoder(spec), build_mask_decoder(mlp_dim), spec)


VIT_SHAPES = {
    "sam_vit_b": SamViTShape(768, 12, 12, (2, 5, 8, 11)),
    "sam_vit_l": SamViTShape(1024, 24, 16, (5, 11, 17, 23)),
    "sam_vit_h": SamViTShape(1280, 32, 16, (7, 15, 23, 31)),
}
"""Sizes of the published encoders by the name of their weights."""


def vit_spec(name: str) -> SamSpec:
    """Return what published ViT weights expect; the same of all three but for the name."""
    return SamSpec(name=name, input_size=1024, embedding_stride=_PATCH, mask_size=256)
