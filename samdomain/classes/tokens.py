"""SAMed's head: a token for each class in the place of the mask tokens."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.classes.head import ClassHead, plain_decoder
from samdomain.injection import InjectedModule, Injection
from samdomain.modules import grown
from samdomain.sam import Embedding, Sam
from samdomain.sam.model import PromptEncoder


class TokenDecoder(ClassHead):
    """A mask decoder that reads classes off tokens of their own.

    Attributes:
        class_tokens: one token (K, d) a class.
        class_hypernetworks: one network a class, from its token to the weights of its mask.
    """

    class_tokens: nn.Parameter
    class_hypernetworks: nn.ModuleList

    def class_logits(
        self, embedding: Embedding, prompt_encoder: PromptEncoder
    ) -> Float[Tensor, "b k s s"]:
        """Decode the null prompt with the classes' tokens in the place of the masks'."""
        main = embedding.main
        count = main.shape[0]  # `len` would fix the number of images in a traced graph
        sparse, dense = prompt_encoder(points=None, boxes=None, masks=None)
        own = torch.cat([self.iou_token.weight, self.class_tokens])  # (1 + k, d)
        logits, _ = self.masks_of(
            own,
            self.class_hypernetworks,
            main,
            prompt_encoder.get_dense_pe(),
            sparse.expand(count, *sparse.shape[1:]),
            dense.expand(count, *dense.shape[1:]),
        )
        return logits


@dataclass(frozen=True)
class ClassTokens(Injection):
    """Give a SAM a token for each class: the null prompt is answered by all classes at once.

    The tokens stand in the decoder where the mask tokens stand when prompts are asked, so that
    the answers to prompts stay as they are. Each begins as the base's single mask does, token
    and hypernetwork, where the official code draws them by chance. They cannot be merged.

    Attributes:
        classes: number of classes, a background counted where there is one.

    Source: Zhang and Liu, Customized Segment Anything Model for Medical Image Segmentation
    (SAMed, arXiv 2304.13785), section 3.3.
    """

    kind: ClassVar[str] = "class_tokens"
    classes: int = 2

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the mask decoder with the classes' tokens."""
        decoder = plain_decoder(sam, self.classes)
        if isinstance(decoder, InjectedModule):
            return {"mask_decoder": decoder}  # taken: `inject` refuses it by name
        new = grown(decoder, TokenDecoder)
        new.classes = self.classes
        single = decoder.mask_tokens.weight[:1].detach()
        new.class_tokens = nn.Parameter(single.repeat(self.classes, 1))
        hypernetwork = decoder.output_hypernetworks_mlps[0]
        new.class_hypernetworks = nn.ModuleList(
            copy.deepcopy(hypernetwork).requires_grad_(True) for _ in range(self.classes)
        )
        return {"mask_decoder": new}
