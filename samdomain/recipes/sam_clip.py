"""SAM-CLIP: one encoder that learns a second model's features and rehearses SAM's own masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from samdomain.anchor import Distillation, guide, guides_of
from samdomain.cache import LatestSam
from samdomain.errors import InputError
from samdomain.features import FeatureHead, image_features
from samdomain.injection import Injected
from samdomain.lora import LoRA
from samdomain.losses import cosine_loss, mask_iou, rehearsal_loss
from samdomain.recipes.answering import answer_prompts
from samdomain.recipes.batch import Batch
from samdomain.recipes.recipe import Answer, Outputs
from samdomain.recipes.tuning import Tuning
from samdomain.recipes.values import Values
from samdomain.recipes.weak_prompts import WeakPrompts
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, decode, encode
from samdomain.sam.encoding import Images
from samdomain.sam.model import model_of

Teacher = Callable[[Images], Tensor]
"""Return features (B, D) of images, as the vision side of CLIP; it is asked without gradients."""

_HEAD = FeatureHead()
_LOW_RANK = Tuning((LoRA(), _HEAD))
_ASKING = WeakPrompts(most=8)


@dataclass(frozen=True, eq=False)
class Taught(Answer):
    """Carry features and masks of a step, with what they are held to.

    Attributes:
        features: of the student (B, D).
        lesson: what the second teacher says (B, D).
        source: logits of the frozen source for the same prompts (N, S, S).
    """

    features: Float[Tensor, "b d"]
    lesson: Float[Tensor, "b d"]
    source: Float[Tensor, "n s s"]


@dataclass(frozen=True)
class SamCLIP(Values):
    """Merge a second model's knowledge into a SAM, without forgetting SAM's own.

    Stage 1 probes: the model is frozen, a head learns the teacher's features. Stage 2 distils both:
    what trains of the model learns the features further, and rehearses the masks that the frozen
    source gives to prompts. A batch may mix images with and without masks: prompts come from
    masks alone, and images without any teach features. Nothing else is asked of labels.

    This is the machinery; the paper's knowledge came from 40 million images, and neither its
    code nor its weights were published. The teacher is a function, which no config can hold:
    so this recipe is built in Python, and stands in no list that `samdomain fit` reads. Its
    adapters are loaded by `load_adapter`, which needs no teacher: the model answers prompts by
    `decode`, as `samdomain segment --prompts` has it, and `zero_shot_semantic` names the patches
    of its `image_features` by embeddings of texts.

    Attributes:
        teacher: second model, any callable on images.
        head: head of features; its length is that of the teacher's.
        tuning: what trains in stage 2, the head among it.
        asking: how prompts are made of masks.
        rehearsal: weight of the rehearsal beside that of the features, 1.
        rate: learning rate of stage 1.
        late_rate: learning rate of stage 2.
        share: part of the steps, in proportion to stage 2's, which is 1.

    Source: Wang et al., SAM-CLIP: Merging Vision Foundation Models towards Semantic and Spatial
    Understanding (arXiv 2310.15308). Rates and the weight of 10 are not stated where we could
    read them.
    """

    name: ClassVar[str] = "sam_clip"
    output: ClassVar[str] = "prompted"
    monitor: ClassVar[str] = "teacher_agrees"

    teacher: Teacher
    head: FeatureHead = _HEAD
    tuning: Tuning = _LOW_RANK
    asking: WeakPrompts = _ASKING
    rehearsal: float = 10.0
    rate: float = 1e-3
    late_rate: float = 1e-4
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a second stage that would not train the head of the first."""
        if self.head not in self.tuning.injections:
            raise InputError(
                f"the tuning of stage 2 has to name the head, {self.head}, among its injections"
            )

    @classmethod
    def presets(cls) -> Mapping[str, "SamCLIP"]:
        """Return none: a teacher stands in no preset."""
        return {}

    @property
    def legend(self) -> None:
        """Return nothing: every answer is one to a prompt."""

    @property
    def stages(self) -> "tuple[SamCLIP, Merging]":
        """Return head probing and multi-task distillation."""
        return self, Merging(self)

    def to_json(self) -> dict[str, Any]:
        """Return the values that JSON can hold: all but the teacher."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        del values["teacher"]
        return {k: v.to_json() if hasattr(v, "to_json") else v for k, v in values.items()}

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Put the head in, and let it alone train; remember what the model is now."""
        records = Tuning((self.head,))(sam)
        guide(sam)
        return records

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Compare features alone: nothing is asked, so that nothing is rehearsed."""
        nothing = Prompts(boxes=torch.zeros(0, 4), images=torch.zeros(0, dtype=torch.long))
        return self.compared(sam, batch, nothing)

    def compared(self, sam: SamLike, batch: Batch, prompts: Prompts) -> Outputs:
        """Return features beside the teacher's, and masks beside the source's."""
        embedding = batch.encoded(sam)
        prediction = decode(sam, embedding, prompts)
        with torch.no_grad():
            lesson = self.teacher(batch.images)
        features = image_features(sam, embedding).pooled
        source = self._source(sam, batch, prompts) if len(prompts) else prediction.low_res[:, 0]
        target = (source > 0).to(source)
        return {"step": Taught(prediction, target, features, lesson.to(features), source)}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - contract
        """Return the cost of the features, and that of the masks."""
        step = outputs["step"]
        if not isinstance(step, Taught):
            raise TypeError("the loss is of what forward() returned")
        second = Distillation[Taught](lambda one: one.lesson, cosine_loss)
        source = Distillation[Taught](lambda one: one.source, rehearsal_loss, self.rehearsal)
        return {
            "features": second(step.features, step),
            "rehearsal": source(step.prediction.low_res[:, 0], step),
        }

    def answer(
        self, sam: SamLike, embedding: Embedding, prompts: Prompts | None = None
    ) -> Prediction:
        """Return one mask a prompt.

        Raises:
            PromptError: no prompts were given.
        """
        return answer_prompts(self.name, sam, embedding, prompts)

    @torch.no_grad()
    def predict(self, sam: SamLike, images: Images, prompts: Prompts | None = None) -> Prediction:
        """Encode images and answer, without gradients; see `answer`."""
        return self.answer(sam, encode(sam, images), prompts)

    @torch.no_grad()
    def measure(self, sam: SamLike, batch: Batch) -> dict[str, Float[Tensor, " n"]]:
        """Measure how close each image is to the teacher (cosine, at least 0).

        Where there are prompts, `source_agrees` is the IoU of each mask with the frozen source's.
        """
        sam = sam.sam if isinstance(sam, LatestSam) else sam
        asked = self.asking(batch, sam.spec, torch.Generator().manual_seed(0))
        step = self.compared(sam, batch, asked.prompts)["step"]
        if not isinstance(step, Taught):
            raise TypeError("compared() returns what was taught")
        close = F.cosine_similarity(step.features, step.lesson).clamp(0, 1)
        same = mask_iou(step.prediction.low_res[:, 0], step.target)
        return {"teacher_agrees": close.cpu(), "source_agrees": same.cpu()}

    def _source(self, sam: SamLike, batch: Batch, prompts: Prompts) -> Float[Tensor, "n s s"]:
        guides, model = guides_of(sam), model_of(sam)
        if guides is None or not isinstance(model, Sam):
            raise InputError("the model has no source yet: call the recipe's adapt(sam) first")
        with guides.as_anchor(model):
            return decode(sam, batch.encoded(sam), prompts).low_res[:, 0]


@dataclass(frozen=True)
class Merging:
    """Distil features and masks together: the second stage of `SamCLIP`.

    Attributes:
        recipe: the recipe that it is a stage of.
        share: part of the training's steps.
    """

    recipe: SamCLIP
    share: float = 1.0

    @property
    def rate(self) -> float:
        """Return the learning rate."""
        return self.recipe.late_rate

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Let what was named train with the head, in the model that stage 1 left."""
        records = self.recipe.tuning(sam)
        guide(sam)
        return records

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Compare features, and masks of the prompts that the batch's masks give."""
        asked = self.recipe.asking(batch, sam.spec, torch.default_generator)
        return self.recipe.compared(sam, batch, asked.prompts)

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the cost of the features, and that of the masks."""
        return self.recipe.loss(outputs, batch)
