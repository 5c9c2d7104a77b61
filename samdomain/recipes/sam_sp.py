"""SAM-SP: a SAM that prompts itself with the box of its own first answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.errors import InputError
from samdomain.injection import Injected
from samdomain.lora import LoRA
from samdomain.losses import self_distillation_loss
from samdomain.metrics import dice_score
from samdomain.prompting import (
    ToPrompts,
    boxes_around,
    image_cells,
    predicted_boxes,
    roughened,
    self_prompt,
    whole_images,
)
from samdomain.recipes.answering import ask, score_images, silenced
from samdomain.recipes.batch import Batch
from samdomain.recipes.legend import THING, Legend
from samdomain.recipes.mask_loss import DICE, MaskLoss
from samdomain.recipes.recipe import Images, Outputs, answers_to_images
from samdomain.recipes.tuning import LIGHT, Tuning
from samdomain.recipes.values import Values
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, encode

_COST = MaskLoss(focal=5.0)
_ANY = 0.5  # a probability that all marks have

FULL = Tuning(injections=(LoRA(rank=4),), parts=("decoder", "prompt_encoder"))
"""The paper's: low-rank updates in all of the encoder, decoder and prompt encoder as a whole."""


@dataclass(frozen=True)
class SamSP(Values):
    """Train a SAM to find one kind of thing without prompts, in two passes.

    The first pass has the null prompt; the box around what it found prompts the second one,
    which gives the result. The image is encoded once. A mask costs Dice in the second pass; the
    first learns from the second by alpha * KL(second || first), the second held constant.

    The paper leaves much open and no code was published. Decided here: the divergence is
    Bernoulli, a mean over cells of the low-resolution logits, at temperature 1. The box is around
    everything found, as least and greatest coordinates say; where nothing was found it is the whole
    image. Masks are SAM's single mask, not the three alternatives. Presets:

    - "paper": its loss, with alpha 1 (not stated); full decoder and prompt encoder.
    - "recommended", the defaults: about a tenth of these values; the first pass is taught by the
      truth too, which the box's quality rests on. Focal loss stands beside Dice, whose gradient
      vanishes where a mask is empty and sure, as the first pass's is in the beginning: with Dice
      alone it stays empty, at 20 to 1 both passes begin to learn later. The divergence of
      confident logits is some nats where Dice is 1 at most: so alpha is 0.1. Boxes are jittered
      in training, so that the second pass learns to mend a box that is a little off. Half of the
      images are asked by their true box: early first answers are poor, and a decoder that has to
      find the object whatever its box says learns to ignore boxes. Then the second pass is no
      better than the first, and no teacher.

    Attributes:
        tuning: what trains.
        loss_of_masks: loss of each pass that is held to the truth.
        alpha: weight of the self-distillation.
        first: weight of the first pass's own loss against the truth; the paper has none.
        rounds: passes after the first.
        jitter: share of the width or height by which a side of a box moves in training, as one
            standard deviation.
        rehearsal: share of the images whose true box asks in training, in the place of their own.
            Who trains by `decode` alone, without true masks, has none.
        peak: probability, at temperature 1, that the surest pixel of an image has to reach in the
            last pass, or nothing is found in it. What training taught to be somewhere in each
            image is marked without conviction where it is not; from 0.5 on, which asks for nothing.
        rate: learning rate.
        share: part of the training's steps; there is no other stage.

    Source: Zhou et al., SAM-SP: Self-Prompting Makes SAM Great Again (arXiv 2408.12364).
    """

    name: ClassVar[str] = "sam_sp"
    output: ClassVar[str] = "semantic"
    monitor: ClassVar[str] = "dice"

    tuning: Tuning = LIGHT
    loss_of_masks: MaskLoss = _COST
    alpha: float = 0.1
    first: float = 1.0
    rounds: int = 1
    jitter: float = 0.05
    rehearsal: float = 0.5
    peak: float = _ANY
    rate: float = 1e-3
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a peak that marks cannot have, or have not to reach."""
        if not _ANY <= self.peak < 1:
            raise InputError(
                f"peak is {self.peak}: give a probability from 0.5, which any mark reaches, to "
                "below 1"
            )

    @classmethod
    def presets(cls) -> Mapping[str, "SamSP"]:
        """Return the recipe as the paper has it, and as we advise."""
        return {
            "paper": cls(
                tuning=FULL,
                loss_of_masks=DICE,
                alpha=1.0,
                first=0.0,
                jitter=0.0,
                rehearsal=0.0,
                rate=1e-4,
            ),
            "recommended": cls(),
        }

    @property
    def legend(self) -> Legend:
        """Return that there is one kind of thing."""
        return THING

    @property
    def stages(self) -> tuple["SamSP"]:
        """Return the recipe: it trains in one stage."""
        return (self,)

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject what the recipe needs and set what trains, in the model itself."""
        return self.tuning(sam)

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode the images once, and answer the null prompt and then boxes."""
        embedding = batch.encoded(sam)
        return self.aim(self._asked(sam, embedding, self._rehearsed(batch)), batch)

    def decode(self, sam: SamLike, embedding: Embedding) -> tuple[Prediction, ...]:
        """Answer the null prompt and then boxes of its own, which are jittered."""
        return self._asked(sam, embedding, {})

    def aim(self, predictions: Sequence[Prediction], batch: Batch) -> Outputs:
        """Return the passes with the masks that each should have found."""
        answers = [answers_to_images(one, batch) for one in predictions]
        return {f"pass_{number}": answer for number, answer in enumerate(answers, 1)}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - contract
        """Return the loss of the passes after the first, of the first, and of their divergence."""
        student, *others = outputs.values()
        teacher = others[-1] if others else student
        passes = [self.loss_of_masks(one.prediction.low_res, one.target) for one in others]
        own = self.loss_of_masks(student.prediction.low_res, student.target)
        divergence = self_distillation_loss(student.prediction.low_res, teacher.prediction.low_res)
        return {
            "masks": torch.stack(passes or [own]).mean(),
            "first": self.first * own,
            "distillation": self.alpha * divergence,
        }

    def answer(
        self, sam: SamLike, embedding: Embedding, prompts: Prompts | None = None
    ) -> Prediction:
        """Return one mask an image, the last pass's, or one a prompt where prompts are given."""
        if prompts is not None:
            return ask(sam, embedding, prompts)
        return self.passes(sam, embedding)[-1]

    def passes(self, sam: SamLike, embedding: Embedding) -> tuple[Prediction, ...]:
        """Return the first answer and what became of it in each later pass.

        Where first and last disagree, the model is not sure of what it found; so they do where
        the last is not sure enough of anything, and finds nothing.
        """
        *first, last = self_prompt(sam, embedding, self.rounds)
        return (*first, self._sure(last))

    @torch.no_grad()
    def predict(self, sam: SamLike, images: Images, prompts: Prompts | None = None) -> Prediction:
        """Encode images and answer, without gradients; see `answer`."""
        return self.answer(sam, encode(sam, images), prompts)

    @torch.no_grad()
    def measure(self, sam: SamLike, batch: Batch) -> dict[str, Float[Tensor, " n"]]:
        """Measure the Dice of each image, in the first pass ("dice_first") and in the last."""
        first, *others = self.passes(sam, batch.encoded(sam))
        return {
            "dice": score_images(dice_score, others[-1] if others else first, batch),
            "dice_first": score_images(dice_score, first, batch),
        }

    def _sure(self, last: Prediction) -> Prediction:
        """Find nothing in images where nothing reaches the peak."""
        size = last.low_res.shape[-1]
        cells = [image_cells(last.frame, image, size) for image in last.images.tolist()]
        seen = torch.stack(cells).to(last.low_res.device)
        return replace(last, low_res=silenced(last.low_res, seen, self.peak))

    def _rehearsed(self, batch: Batch) -> dict[int, Float[Tensor, "4"]]:
        """Return the true boxes of the images that are asked by them, chosen by chance."""
        masks = batch.foregrounds() if self.rehearsal else []
        there = [i for i, mask in enumerate(masks) if bool(mask.any())]
        chosen = [i for i in there if float(torch.rand(())) < self.rehearsal]
        boxes = boxes_around([masks[i] for i in chosen]).boxes if chosen else None
        return {} if boxes is None else dict(zip(chosen, boxes, strict=True))

    def _asked(
        self, sam: SamLike, embedding: Embedding, true: Mapping[int, Tensor]
    ) -> tuple[Prediction, ...]:
        """Answer the null prompt, and then jittered boxes: the true ones that are given, or own."""

        def rough(rule: ToPrompts, prediction: Prediction) -> Prompts:
            prompts = rule(prediction)
            own = [] if prompts.boxes is None else list(prompts.boxes)
            images = prompts.image_indices().tolist()
            boxes = [true.get(i, box).to(box) for i, box in zip(images, own, strict=True)]
            asked = replace(prompts, boxes=torch.stack(boxes))
            chance = torch.default_generator
            return roughened(asked, prediction.frame, chance, share=self.jitter)

        seen, empty = partial(rough, predicted_boxes), partial(rough, whole_images)
        return self_prompt(sam, embedding, self.rounds, seen, empty=empty)
