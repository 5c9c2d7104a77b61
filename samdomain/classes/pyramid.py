"""A light decoder over the encoder's maps: classes without SAM's own decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.channel_norm import ChannelNorm
from samdomain.backbones.decoder import EMBEDDING_CHANNELS
from samdomain.classes.head import ClassHead, plain_decoder
from samdomain.errors import InjectionError
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown
from samdomain.sam import Embedding, Sam
from samdomain.sam.model import PromptEncoder
from samdomain.sam.stepwise import StepwiseEncoder


class Pyramid(nn.Module):
    """Bring maps of several strides to one width and one grid, add them, and tell classes.

    Args:
        channels: channels of each of the encoder's own maps by its stride.
        width: channels in which the maps meet.
        classes: number of classes.
        size: side of the logits.
    """

    def __init__(self, channels: Mapping[int, int], width: int, classes: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.main = nn.Conv2d(EMBEDDING_CHANNELS, width, kernel_size=1)
        self.levels = nn.ModuleDict(
            {str(s): nn.Conv2d(channels[s], width, kernel_size=1) for s in sorted(channels)}
        )
        self.mix = nn.Sequential(
            ChannelNorm(width),
            nn.GELU(),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            ChannelNorm(width),
            nn.GELU(),
            nn.Conv2d(width, classes, kernel_size=1),
        )

    def forward(self, embedding: Embedding) -> Float[Tensor, "b k s s"]:
        """Return logits of classes over the encoder's padded input."""
        maps = [self.main(embedding.main)]
        maps += [conv(embedding.levels[int(stride)]) for stride, conv in self.levels.items()]
        finest = max(one.shape[-1] for one in maps)
        total = sum((_resized(one, finest) for one in maps[1:]), _resized(maps[0], finest))
        return _resized(self.mix(total), self.size)


class PyramidDecoder(ClassHead):
    """A mask decoder with a light decoder of classes beside it."""

    class_pyramid: Pyramid

    @property
    def level_strides(self) -> tuple[int, ...]:
        """Strides of the maps that the light decoder reads."""
        return tuple(int(stride) for stride in self.class_pyramid.levels)

    def class_logits(
        self,
        embedding: Embedding,
        prompt_encoder: PromptEncoder,  # noqa: ARG002 - nothing stands for prompts here
    ) -> Float[Tensor, "b k s s"]:
        """Read the classes off the encoder's maps."""
        return self.class_pyramid(embedding)


@dataclass(frozen=True)
class PyramidClasses(Injection):
    """Give a SAM a light decoder of classes over the maps of its encoder.

    It reads the embedding and the encoder's own maps, each through a 1x1 convolution, adds them
    on the finest grid, and tells the classes by two more convolutions: one where SAM's decoder,
    which is made for prompts, stays out of it. Answers to prompts stay as they are. It cannot be
    merged.

    Attributes:
        classes: number of classes, a background counted where there is one.
        width: channels in which the maps meet.

    Source: Xie et al., SegFormer (2021), section 3.2, whose decoder is as light; Lin et al.,
    Feature Pyramid Networks (2017), for adding maps.
    """

    kind: ClassVar[str] = "pyramid_classes"
    classes: int = 2
    width: int = 64

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the mask decoder with the light decoder beside it."""
        decoder, encoder = plain_decoder(sam, self.classes), sam.image_encoder
        if isinstance(decoder, InjectedModule):
            return {"mask_decoder": decoder}  # taken: `inject` refuses it by name
        if not isinstance(encoder, StepwiseEncoder):
            raise InjectionError(
                f"a {type(encoder).__name__} does not tell the channels of its maps: inherit "
                "from samdomain.sam.stepwise.StepwiseEncoder"
            )
        new = grown(decoder, PyramidDecoder)
        new.classes = self.classes
        made = Pyramid(encoder.level_channels, self.width, self.classes, sam.spec.mask_size)
        new.class_pyramid = made.to(decoder.mask_tokens.weight)
        return {"mask_decoder": new}


def _resized(maps: Tensor, size: int) -> Tensor:
    if maps.shape[-1] == size:
        return maps
    return F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)
