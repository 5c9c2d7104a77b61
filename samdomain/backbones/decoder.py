"""Build SAM's prompt encoder and mask decoder, which all backbones share."""

from typing import Any

import torch
from jaxtyping import Float
from segment_anything.modeling import MaskDecoder as OneImageMaskDecoder
from segment_anything.modeling import PromptEncoder, TwoWayTransformer
from torch import Tensor, nn

from samdomain.backbones.channel_norm import ChannelNorm
from samdomain.sam import SamSpec

EMBEDDING_CHANNELS = 256
"""Channels of the image embedding and of every token, in all published SAM weights."""


class MaskDecoder(OneImageMaskDecoder):
    """Decode N prompts against N embeddings, one each.

    segment-anything's decoder repeats a single image embedding once for every prompt, so
    B images with B prompts fail in it. This one takes the embeddings already matched to the
    prompts; its parameters and their names are the same.

    Source: Kirillov et al., Segment Anything (2023), appendix A, "Lightweight mask decoder".
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.output_upscaling[1] = ChannelNorm(settings["transformer_dim"] // 4)

    def predict_masks(
        self,
        image_embeddings: Float[Tensor, "n d h w"],
        image_pe: Float[Tensor, "1 d h w"],
        sparse_prompt_embeddings: Float[Tensor, "n t d"],
        dense_prompt_embeddings: Float[Tensor, "n d h w"],
    ) -> tuple[Float[Tensor, "n m s s"], Float[Tensor, "n m"]]:
        """Return the logits and the predicted IoU of every mask token."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (1 + m, d)
        parts = (image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        logits, tokens = self.masks_of(own, self.output_hypernetworks_mlps, *parts)
        return logits, self.iou_prediction_head(tokens[:, 0])

    def masks_of(
        self,
        own: Float[Tensor, "k d"],
        hypernetworks: nn.ModuleList,
        image_embeddings: Float[Tensor, "n d h w"],
        image_pe: Float[Tensor, "1 d h w"],
        sparse_prompt_embeddings: Float[Tensor, "n t d"],
        dense_prompt_embeddings: Float[Tensor, "n d h w"],
    ) -> tuple[Float[Tensor, "n m s s"], Float[Tensor, "n k_and_t d"]]:
        """Return the logits of any mask tokens, and all tokens as the transformer left them.

        Args:
            own: a token for the decoder's other use, and one for each of M masks.
            hypernetworks: M networks that turn a mask token into the weights of its mask.
            image_embeddings: as `predict_masks` takes them, and so the others.
            image_pe: positional encoding of the embedding's cells.
            sparse_prompt_embeddings: prompts as tokens.
            dense_prompt_embeddings: prompts as maps.
        """
        n, d, h, w = image_embeddings.shape
        tokens = torch.cat([own.expand(n, -1, -1), sparse_prompt_embeddings], dim=1)
        image = _as_computed(_channels_last(image_embeddings + dense_prompt_embeddings))
        positions = _as_computed(_channels_last(image_pe)).expand(n, -1, -1, -1)
        tokens, image = self.transformer(image, positions, tokens)  # (n, k + t, d), (n, h * w, d)
        upscaled = self.output_upscaling(image.transpose(1, 2).reshape(n, d, h, w))
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(hypernetworks)], dim=-1
        )  # (n, d / 8, m)
        masks = _channels_last(upscaled).permute(0, 2, 3, 1).flatten(1, 2) @ weights
        return masks.transpose(1, 2).unflatten(2, upscaled.shape[2:]), tokens


def _channels_last(maps: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d h w"]:
    """Lay maps out as the transformer's tokens are: mixed layouts take several times as long."""
    return maps.contiguous(memory_format=torch.channels_last)


def _as_computed(maps: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d h w"]:
    """Give maps the type that autocast computes in, where it is on: else each layer casts anew."""
    device = maps.device.type
    return maps.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else maps


def build_prompt_encoder(spec: SamSpec) -> PromptEncoder:
    """Build the prompt encoder for the sizes of a spec."""
    return PromptEncoder(
        embed_dim=EMBEDDING_CHANNELS,
        image_embedding_size=(spec.embedding_size, spec.embedding_size),
        input_image_size=(spec.input_size, spec.input_size),
        mask_in_chans=16,
    )


def build_mask_decoder(mlp_dim: int = 2048) -> MaskDecoder:
    """Build the mask decoder in the size that all published weights have.

    Args:
        mlp_dim: hidden width of the transformer's MLP; smaller only for tests.
    """
    return MaskDecoder(
        transformer_dim=EMBEDDING_CHANNELS,
        transformer=TwoWayTransformer(
            depth=2, embedding_dim=EMBEDDING_CHANNELS, num_heads=8, mlp_dim=mlp_dim
        ),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
