"""TinyViT as an image encoder, on timm's blocks, in the layouts of MobileSAM and LiteMedSAM."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from timm.models.tiny_vit import (
    Attention,
    ConvLayer,
    ConvNorm,
    PatchEmbed,
    PatchMerging,
    TinyVitBlock,
    TinyVitStage,
)
from torch import Tensor, nn

from samdomain.backbones.channel_norm import ChannelNorm
from samdomain.backbones.decoder import EMBEDDING_CHANNELS, build_mask_decoder, build_prompt_encoder
from samdomain.sam import Sam, SamSpec
from samdomain.sam.stepwise import Step, StepwiseEncoder, apply, keep

_KEPT = (1, 3)  # stages that leave their maps, counted from 0


@dataclass(frozen=True)
class TinyViTShape:
    """Fix the sizes of a TinyViT: four stages, the first of convolutions.

    Attributes:
        dims: channels of each stage.
        depths: blocks of each stage.
        heads: attention heads of each stage; the first has none.
        windows: side of the attention windows of each stage in cells.
        stem_stride: 4 as TinyViT has it; 1 where the input comes in at a quarter of the size.
    """

    dims: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)
    stem_stride: int = 4

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """Input pixels for each cell of a stage's map; the last stage does not downsample."""
        stem = self.stem_stride
        return stem, 2 * stem, 4 * stem, 4 * stem


class TinyViT(StepwiseEncoder):
    """Encode images with TinyViT and SAM's neck.

    Unlike TinyViT for classification, the last stage does not downsample: the embedding has
    four times the stem's stride, as MobileSAM introduced it.

    Source: Wu et al., TinyViT (2022); Zhang et al., MobileSAM (2023), section 3; the LiteMedSAM
    branch of Ma et al., MedSAM (2024).
    """

    def __init__(self, shape: TinyViTShape, input_channels: int = 3) -> None:
        super().__init__()
        self.shape = shape
        dims = shape.dims
        if shape.stem_stride == 1:
            self.patch_embed = FlatStem(input_channels, dims[0])
        else:
            self.patch_embed = PatchEmbed(input_channels, dims[0], nn.GELU)
        self.stages = nn.Sequential(
            ConvLayer(dims[0], shape.depths[0], nn.GELU),
            *(_attention_stage(shape, i) for i in range(1, len(dims))),
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dims[-1], EMBEDDING_CHANNELS, kernel_size=1, bias=False),
            ChannelNorm(EMBEDDING_CHANNELS),
            nn.Conv2d(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS, 3, padding=1, bias=False),
            ChannelNorm(EMBEDDING_CHANNELS),
        )

    @property
    def level_channels(self) -> dict[int, int]:
        """Channels of the maps that stages 2 and 4 leave, by stride."""
        return {self.shape.strides[i]: self.shape.dims[i] for i in _KEPT}

    def steps(self) -> list[Step]:
        """Return stem, downsamplings, blocks and neck; stages 2 and 4 leave their last maps."""
        first, *others = self.stages.children()
        steps = [apply(self.patch_embed), *(apply(block) for block in _blocks(first))]
        for i, stage in enumerate(others, start=1):
            downsample = stage.get_submodule("downsample")
            steps.append(apply(partial(_downsampled, downsample), downsample))
            steps += [apply(block) for block in _blocks(stage)]
            steps.append(apply(_channels_first))
            if i in _KEPT:
                steps.append(keep(self.shape.strides[i], lambda x: x))
        return [*steps, apply(self.neck)]


def _blocks(stage: nn.Module) -> Iterable[nn.Module]:
    return stage.get_submodule("blocks").children()


def _downsampled(downsample: nn.Module, x: Tensor) -> Tensor:
    return downsample(x).permute(0, 2, 3, 1)  # blocks of attention take channels last


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


class FlatStem(PatchEmbed):
    """LiteMedSAM's stem: 1x1 convolutions in the place of strided ones."""

    def __init__(self, input_channels: int, channels: int) -> None:
        super().__init__(input_channels, channels, nn.GELU)
        self.stride = 1
        self.conv1 = ConvNorm(input_channels, channels // 2)
        self.conv2 = ConvNorm(channels // 2, channels)


class WindowAttention(Attention):
    """timm's attention without its cache of biases.

    The cache is filled in eval mode and emptied by `train()`, so it outlives a later
    `load_state_dict`, and it keeps a spent graph when an encoder in eval mode is trained.
    """

    def get_attention_biases(self, device: torch.device) -> Tensor:  # noqa: ARG002 - timm's signature
        """Return the bias of each head and pair of cells in a window."""
        return self.attention_biases[:, cast(Tensor, self.attention_bias_idxs)]

    def train(  # pyright: ignore[reportIncompatibleMethodOverride] - timm's breaks torch's own
        self,
        mode: bool = True,  # noqa: FBT001, FBT002 - torch's own signature
    ) -> "WindowAttention":
        """Switch between training and evaluation; timm's own returns nothing."""
        super().train(mode)
        return self


class _FlatMerging(PatchMerging):
    """timm's merging of patches without its stride: channels grow, the map keeps its size."""

    def __init__(self, dim: int, out_dim: int, **factory: Any) -> None:
        super().__init__(dim, out_dim, **factory)
        self.conv2 = ConvNorm(out_dim, out_dim, 3, 1, 1, groups=out_dim)


def _attention_stage(shape: TinyViTShape, i: int) -> TinyVitStage:
    last = i == len(shape.dims) - 1
    stage = TinyVitStage(
        dim=shape.dims[i - 1],
        out_dim=shape.dims[i],
        depth=shape.depths[i],
        num_heads=shape.heads[i],
        window_size=shape.windows[i],
        downsample=_FlatMerging if last else PatchMerging,
    )
    for block in stage.blocks.children():
        if isinstance(block, TinyVitBlock):
            block.attn = _window_attention(block)
    return stage


def _window_attention(block: TinyVitBlock) -> WindowAttention:
    window = (block.window_size, block.window_size)
    key_dim = block.dim // block.num_heads
    return WindowAttention(block.dim, key_dim, block.num_heads, attn_ratio=1, resolution=window)


def build_tiny_vit_sam(spec: SamSpec, shape: TinyViTShape, mlp_dim: int = 2048) -> Sam:
    """Build a SAM with a TinyViT encoder and random weights.

    Args:
        spec: what the weights will expect.
        shape: sizes of the encoder.
        mlp_dim: see `build_mask_decoder`.
    """
    encoder = TinyViT(shape, spec.input_channels)
    return Sam(encoder, build_prompt_encoder(spec), build_mask_decoder(mlp_dim), spec)


LITEMEDSAM_SPEC = SamSpec(
    name="litemedsam",
    input_size=256,
    embedding_stride=4,
    mask_size=256,
    scaling="minmax",
    pixel_mean=(0.0, 0.0, 0.0),
    pixel_std=(1.0, 1.0, 1.0),
    prompts=frozenset({"box"}),
)
LITEMEDSAM_SHAPE = TinyViTShape(stem_stride=1)

MOBILE_SAM_SPEC = SamSpec(name="mobile_sam", input_size=1024, embedding_stride=16, mask_size=256)
MOBILE_SAM_SHAPE = TinyViTShape()

# Published key -> timm's key. Published stages downsample at their end, timm's at their start.
_STAGE_END = re.compile(r"\blayers\.(\d+)\.downsample\.")
_RENAMED = (
    (re.compile(r"\bpatch_embed\.seq\.0\."), "patch_embed.conv1."),
    (re.compile(r"\bpatch_embed\.seq\.2\."), "patch_embed.conv2."),
    (re.compile(r"\blayers\."), "stages."),
    (re.compile(r"\.c\."), ".conv."),
)
_SEQUENCE = {"1": "patch_embed.seq.0.", "2": "patch_embed.seq.2."}
# MobileSAM's file still carries the classification head that SAM never runs.
_UNUSED = ("image_encoder.norm_head.", "image_encoder.head.")


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of a MobileSAM or LiteMedSAM checkpoint to those of this module."""
    return {_timm_key(key): tensor for key, tensor in state.items() if not key.startswith(_UNUSED)}


def _timm_key(key: str) -> str:
    if not key.startswith("image_encoder."):
        return key
    key = _STAGE_END.sub(lambda match: f"stages.{int(match[1]) + 1}.downsample.", key)
    for pattern, name in _RENAMED:
        key = pattern.sub(name, key)
    return key


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of this module to those of a MobileSAM or LiteMedSAM checkpoint."""
    return {_published_key(key): tensor for key, tensor in state.items()}


def _published_key(key: str) -> str:
    if not key.startswith("image_encoder."):
        return key
    key = re.sub(r"\bpatch_embed\.conv([12])\.", lambda m: _SEQUENCE[m[1]], key)
    key = key.replace(".conv.", ".c.")
    return re.sub(r"\bstages\.(\d+)\.(downsample\.)?", _published_stage, key)


def _published_stage(match: re.Match[str]) -> str:
    number, downsample = match.groups()
    return f"layers.{int(number) - 1}.{downsample}" if downsample else f"layers.{number}."
