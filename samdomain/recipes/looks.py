"""Let the three networks of WeSAM look at the same images: each is the model with other values."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.anchor import Guides, guides_of
from samdomain.cache import SharedPrefix
from samdomain.errors import InputError
from samdomain.losses import instance_features
from samdomain.prompting import low_res_masks
from samdomain.recipes.answering import has_alternatives
from samdomain.recipes.batch import Batch
from samdomain.recipes.self_training import Seen
from samdomain.recipes.weak_prompts import frame_of
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, decode
from samdomain.sam.model import model_of

_MASK = 0.5


class Looks:
    """Let anchor, teacher and student look at a batch, all at the same prompts.

    Args:
        sam: model, or a view of it.
        batch: images as they are, the weak view.
        prompts: what all three are asked.

    Attributes:
        shared: view of the model in which the frozen part runs once for the same pixels.
    """

    def __init__(self, sam: SamLike, batch: Batch, prompts: Prompts) -> None:
        self.shared = SharedPrefix(sam)
        self._model = whole_model(sam)
        self._guides = model_guides(sam)
        self._batch = batch
        self._prompts = prompts
        # One click has three alternatives: all learn the one that is looked at first.
        self._alternative: Tensor | None = None

    def anchor(self) -> Seen:
        """Look as the model did before training."""
        with self._guides.as_anchor(self._model):
            return self._weak()

    def teacher(self) -> Seen:
        """Look as the teacher."""
        with self._guides.as_teacher(self._model):
            return self._weak()

    def taught(self) -> Seen:
        """Look as a teacher of the student's weights, with gradients."""
        return self._weak()

    def student(self, embedding: Embedding, target: Float[Tensor, "n s s"]) -> Seen:
        """Look at an embedding of the strong view, held to masks (N, S, S) of 0 to 1."""
        prediction = self._decoded(embedding)
        return Seen(prediction, target, _features(embedding, prediction, target - _MASK))

    def truth(self, masks: Sequence[Bool[Tensor, "_ _"]]) -> Float[Tensor, "n s s"]:
        """Return the share of each mask in the cells of the decoder's logits."""
        spec = self.shared.spec
        images = self._prompts.image_indices()
        frame = frame_of(self._batch, spec)
        shares = low_res_masks(masks, frame, spec.mask_size, images=images)
        return shares.to(self.shared.prompt_encoder.get_dense_pe())

    def _weak(self) -> Seen:
        embedding = self._batch.encoded(self.shared)
        prediction = self._decoded(embedding)
        logits = prediction.low_res[:, 0].detach()
        target = (logits > 0).to(logits)
        return Seen(prediction, target, _features(embedding, prediction, logits))

    def _decoded(self, embedding: Embedding) -> Prediction:
        several = has_alternatives(self.shared, self._prompts)
        prediction = decode(self.shared, embedding, self._prompts, multimask=several)
        if not several:
            return prediction
        if self._alternative is None:
            self._alternative = prediction.iou.detach().argmax(dim=1)
        rows = torch.arange(len(prediction), device=prediction.iou.device)
        low_res = prediction.low_res[rows, self._alternative][:, None]
        iou = prediction.iou[rows, self._alternative][:, None]
        return Prediction(low_res, iou, prediction.images, prediction.frame)


def _features(embedding: Embedding, prediction: Prediction, masks: Tensor) -> Tensor:
    return instance_features(embedding.main, masks, prediction.images)


def model_guides(sam: SamLike) -> Guides:
    """Return what `adapt` remembered with a model.

    Raises:
        InputError: it remembered nothing.
    """
    guides = guides_of(sam)
    if guides is None:
        raise InputError("the model has no anchor yet: call the recipe's adapt(sam) first")
    return guides


def whole_model(sam: SamLike) -> Sam:
    """Return the model behind a view.

    Raises:
        InputError: it is no `Sam`, whose values could be exchanged.
    """
    model = model_of(sam)
    if not isinstance(model, Sam):
        raise InputError(f"a {type(model).__name__} has no anchor: give a Sam, or a view of one")
    return model
