"""A head that speaks the language of a second model: features of an image and of its patches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.backbones.decoder import MaskDecoder
from samdomain.errors import InjectionError, InputError, MergeError
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown, match
from samdomain.sam import Embedding, Sam, SamLike

_SHORTEST = 1e-6  # a vector shorter than this has no direction


@dataclass(frozen=True, eq=False)
class Features:
    """Carry features of B images in the space of a second model.

    Attributes:
        pooled: features of each image (B, D).
        patches: features of each cell of the embedding (B, D, h, w).
    """

    pooled: Float[Tensor, "b d"]
    patches: Float[Tensor, "b d h w"]


class FeatureLayers(nn.Module):
    """Turn an image embedding into features: transformer layers, then a mean over the cells.

    Args:
        channels: channels of the embedding.
        dimensions: D, length of the features.
        layers: transformer layers, 1 or more.
        heads: heads of their attention.
    """

    def __init__(self, channels: int, dimensions: int, layers: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                channels, heads, 4 * channels, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Linear(channels, dimensions)

    def forward(self, main: Float[Tensor, "b c h w"]) -> Features:
        """Return the features of images."""
        cells = main.flatten(2).transpose(1, 2)  # (b, h * w, c)
        for layer in self.layers:
            cells = layer(cells)
        patches = self.out(self.norm(cells))
        return Features(patches.mean(dim=1), patches.transpose(1, 2).unflatten(2, main.shape[-2:]))


class FeatureDecoder(InjectedModule, MaskDecoder):
    """A mask decoder that stands beside a head of features: prompts are answered as before.

    Attributes:
        features: the head.
    """

    features: FeatureLayers

    def merged(self) -> nn.Module:
        """Refuse: a plain decoder has no place for features."""
        raise MergeError("its features have no place in a plain decoder")


@dataclass(frozen=True)
class FeatureHead(Injection):
    """Give a SAM a head of features beside its decoder; its masks stay as they are.

    Attributes:
        dimensions: length of the features, that of the second model's.
        layers: transformer layers, 1 to 3 as a rule.
        heads: heads of their attention.

    Source: Wang et al., SAM-CLIP (arXiv 2310.15308), the CLIP head: a few transformer layers and
    pooling; no code was published.
    """

    kind: ClassVar[str] = "feature_head"
    dimensions: int = 512
    layers: int = 2
    heads: int = 8

    def __post_init__(self) -> None:
        """Refuse a head without a layer."""
        if min(self.dimensions, self.layers, self.heads) < 1:
            raise InjectionError(f"{self} has nothing to learn: give numbers of 1 or more")

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the mask decoder with the head beside it."""
        try:
            decoder = match(sam, ["mask_decoder"], MaskDecoder)["mask_decoder"]
        except InputError as error:
            raise InjectionError(str(error)) from error
        if isinstance(decoder, InjectedModule):
            return {"mask_decoder": decoder}  # taken: `inject` refuses it by name
        new = grown(decoder, FeatureDecoder)
        channels = int(sam.prompt_encoder.get_dense_pe().shape[1])
        if channels % self.heads:
            raise InjectionError(f"{self.heads} heads do not share out {channels} channels")
        new.features = FeatureLayers(channels, self.dimensions, self.layers, self.heads)
        return {"mask_decoder": new}


def image_features(sam: SamLike, embedding: Embedding) -> Features:
    """Return the features of encoded images; gradients flow.

    Args:
        sam: model with a `FeatureHead`.
        embedding: images as `encode` returned them. Cells in the padding are of no use.

    Raises:
        InputError: the model has no such head.
    """
    decoder = sam.mask_decoder
    if not isinstance(decoder, FeatureDecoder):
        raise InputError(f"{sam.spec.name!r} has no head of features: put in FeatureHead(...)")
    return decoder.features(embedding.main)


def zero_shot_semantic(
    text_embeddings: Float[Tensor, "c d"], patch_embeddings: Float[Tensor, "*b d h w"]
) -> Float[Tensor, "*b c h w"]:
    """Compare each patch with each text: the class of a patch is the text that it is closest to.

    Args:
        text_embeddings: one vector a class, of the second model's text encoder; their lengths do
            not matter.
        patch_embeddings: `Features.patches`, or those of one image.

    Returns:
        Tensor: cosine of each class and patch, -1 to 1; `argmax` over classes is the map.

    Source: Wang et al., SAM-CLIP (arXiv 2310.15308), zero-shot semantic segmentation.
    """
    texts = F.normalize(text_embeddings, dim=-1, eps=_SHORTEST)
    patches = F.normalize(patch_embeddings, dim=-3, eps=_SHORTEST)
    return torch.einsum("cd,...dhw->...chw", texts, patches)
