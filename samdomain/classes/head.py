"""What a head of classes is, and how a model with one is asked."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.backbones.decoder import MaskDecoder
from samdomain.errors import InjectionError, InputError, MergeError
from samdomain.injection import InjectedModule
from samdomain.modules import match
from samdomain.sam import Embedding, Prediction, Sam, SamLike
from samdomain.sam.model import PromptEncoder


class ClassHead(InjectedModule, MaskDecoder):
    """A mask decoder that gives classes too: prompts are answered as before.

    Attributes:
        classes: number of classes.
    """

    classes: int

    @property
    def level_strides(self) -> tuple[int, ...]:
        """Strides of the encoder's own maps that the head reads beside the embedding."""
        return ()

    @abstractmethod
    def class_logits(
        self, embedding: Embedding, prompt_encoder: PromptEncoder
    ) -> Float[Tensor, "b k s s"]:
        """Return logits of each class over the encoder's padded input.

        Args:
            embedding: B encoded images.
            prompt_encoder: the model's own, for what stands in the place of prompts.
        """

    def merged(self) -> nn.Module:
        """Refuse: a plain decoder has no place for classes."""
        raise MergeError("its classes have no place in a plain decoder")


def classify(sam: SamLike, embedding: Embedding) -> Prediction:
    """Decode B embeddings into classes, one answer an image.

    Gradients flow to the embedding and into the head; wrap the call in `torch.no_grad()` for
    inference.

    Args:
        sam: model with a `ClassHead`.
        embedding: images as `encode` returned them.

    Returns:
        Prediction: low-resolution logits (B, K, S, S), a class where prompts have alternatives,
        and NaN for the estimate of IoU, which heads do not give.

    Raises:
        InputError: the model has no head of classes.
    """
    logits = head_of(sam).class_logits(embedding, sam.prompt_encoder)
    unknown = logits.new_full(logits.shape[:2], torch.nan)
    return Prediction(logits, unknown, torch.arange(len(embedding)), embedding.frame)


def head_of(sam: SamLike) -> ClassHead:
    """Return a model's head of classes.

    Raises:
        InputError: it has none.
    """
    head = sam.mask_decoder
    if not isinstance(head, ClassHead):
        raise InputError(
            f"{sam.spec.name!r} has no classes: load an adapter that was trained for classes, or "
            "put in ClassTokens(...)"
        )
    return head


def plain_decoder(sam: Sam, classes: int) -> MaskDecoder:
    """Return the mask decoder that a head is to stand for.

    Raises:
        InjectionError: there is none of SAM's kind, or there are no classes.
    """
    if classes < 1:
        raise InjectionError(f"{classes} classes are none: give 1 or more")
    try:
        return match(sam, ["mask_decoder"], MaskDecoder)["mask_decoder"]
    except InputError as error:
        raise InjectionError(str(error)) from error
