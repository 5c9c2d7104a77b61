"""SAM-Adapter's prompt: what is fine in an image, told to every block of the encoder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from timm.models.tiny_vit import TinyVitStage
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.sam_vit import SamViT
from samdomain.backbones.tiny_vit import TinyViT
from samdomain.errors import InjectionError
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown
from samdomain.sam import Sam
from samdomain.sam.stepwise import Features, Step


def high_pass(pixels: Float[Tensor, "b c h w"], rate: float) -> Float[Tensor, "b c h w"]:
    """Keep the fine detail of images: the magnitude of what is left without low frequencies.

    Args:
        pixels: images.
        rate: share of the spectrum that is removed, a square around frequency zero; 0 to 1.

    Source: Liu et al., Explicit Visual Prompting (2023), section 3.2, whose code takes the
    magnitude.
    """
    spectrum = torch.fft.rfft2(pixels.float())
    # A square of half this width on each side has the share `rate` of all frequencies.
    limit = rate**0.5 / 2
    rows = torch.fft.fftfreq(pixels.shape[-2], device=pixels.device).abs() < limit
    columns = torch.fft.rfftfreq(pixels.shape[-1], device=pixels.device) < limit
    low = rows[:, None] & columns
    fine = torch.fft.irfft2(spectrum.masked_fill(low, 0), s=pixels.shape[-2:])
    return fine.abs().to(pixels.dtype)


class PromptMaker(nn.Module):
    """Make what is added to the input of each of several blocks on one grid.

    The layer that leads back to the token's channels is shared, and zero at the start.

    Args:
        dim: channels of a token.
        width: channels of the features that the blocks share.
        blocks: number of blocks.
        input_channels: channels of an image.
        stride: input pixels for each token.
    """

    def __init__(self, dim: int, width: int, blocks: int, input_channels: int, stride: int) -> None:
        super().__init__()
        self.from_tokens = nn.Linear(dim, width)
        self.from_detail = nn.Conv2d(input_channels, width, kernel_size=stride, stride=stride)
        self.tuned = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(
        self, tokens: Float[Tensor, "b h w dim"], detail: Float[Tensor, "b c _ _"]
    ) -> Iterator[Float[Tensor, "b h w dim"]]:
        """Yield the prompt of each block in turn.

        Args:
            tokens: patch embedding, before any position or block.
            detail: high-passed images.
        """
        features = self.from_tokens(tokens) + self.from_detail(detail).permute(0, 2, 3, 1)
        for layer in self.tuned:
            yield self.up(F.gelu(layer(features)))


class DetailedViT(InjectedModule, SamViT):
    """SAM's ViT with a prompt for each block."""

    prompts: nn.ModuleList
    rate: float

    def steps(self) -> list[Step]:
        """Return one step: every block reads what the prompts make of the pixels."""
        return [Step(self._encode, (self,))]

    def _encode(self, features: Features) -> Features:
        pixels, levels = features
        patches = self.patches(pixels)
        made = self.prompts[0](patches, high_pass(pixels, self.rate))
        x = self.place(patches)
        for block, prompt in zip(self.blocks, made, strict=True):
            x = block(x + prompt)
        features = (x, levels)
        for step in super().steps()[1 + len(self.blocks) :]:
            features = step.run(features)
        return features


class DetailedTinyViT(InjectedModule, TinyViT):
    """TinyViT with a prompt for each block of the stages that have attention."""

    prompts: nn.ModuleList
    rate: float

    def steps(self) -> list[Step]:
        """Return one step: every block reads what the prompts make of the pixels."""
        return [Step(self._encode, (self,))]

    def _encode(self, features: Features) -> Features:
        pixels, levels = features
        detail = high_pass(pixels, self.rate)
        convolutions, *stages = self.stages
        x = convolutions(self.patch_embed(pixels))
        for one, maker, stride in zip(stages, self.prompts, self.shape.strides[1:], strict=True):
            stage = cast(TinyVitStage, one)
            x = stage.downsample(x).permute(0, 2, 3, 1)  # (b, h, w, dim)
            for block, prompt in zip(stage.blocks, maker(x, detail), strict=True):
                x = block(x + prompt)
            x = x.permute(0, 3, 1, 2)
            levels = {**levels, stride: x}  # the last of a stride stays
        return self.neck(x), levels


@dataclass(frozen=True)
class HighFrequencyPrompt(Injection):
    """Tell every block of the encoder what is fine in the image.

    A prompt made of the patch embedding and of the image without its low frequencies is added
    to the input of each block. On TinyViT each stage with attention makes its own, on its own
    grid, as Explicit Visual Prompting does on SegFormer. At the start the prompts are zero;
    the published ones are not, and their features of the detail are scrambled in space by a
    reshape. It depends on its input and cannot be merged. Where bands are added, add them
    first.

    Attributes:
        rate: share of the spectrum that counts as low and is removed; between 0 and 1.
        reduction: the prompts' features have one channel for so many of a token's.

    Raises:
        InjectionError: a value is out of its range.

    Source: Chen et al., SAM-Adapter (2023), section 3.2.
    """

    kind: ClassVar[str] = "high_frequency_prompt"
    rate: float = 0.25
    reduction: int = 32

    def __post_init__(self) -> None:
        """Refuse values that leave nothing to learn from."""
        if not 0 < self.rate < 1:
            raise InjectionError(f"rate {self.rate} is not a share: give one between 0 and 1")
        if self.reduction < 1:
            raise InjectionError(f"reduction {self.reduction} is below 1: give 1 or more, as 32")

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the encoder with prompts."""
        encoder = sam.image_encoder
        if isinstance(encoder, InjectedModule):
            return {"image_encoder": encoder}  # taken: `inject` refuses it by name
        if isinstance(encoder, SamViT):
            new = grown(encoder, DetailedViT)
            grids = [(encoder.shape.dim, encoder.shape.depth, sam.spec.embedding_stride)]
        elif isinstance(encoder, TinyViT):
            new = grown(encoder, DetailedTinyViT)
            shape = encoder.shape
            grids = list(zip(shape.dims, shape.depths, shape.strides, strict=True))[1:]
        else:
            raise InjectionError(
                f"prompts for the blocks of a {type(encoder).__name__} are not known: allowed are "
                "SAM's ViT and TinyViT"
            )
        channels = sam.spec.input_channels
        new.rate = self.rate
        new.prompts = nn.ModuleList(
            PromptMaker(dim, max(1, dim // self.reduction), blocks, channels, stride)
            for dim, blocks, stride in grids
        ).to(next(encoder.parameters()))
        return {"image_encoder": new}
