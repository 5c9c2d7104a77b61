"""SamLP: low-rank updates make a SAM a detector, then teach it to mend its own answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.errors import InputError
from samdomain.injection import Injected
from samdomain.lora import LoRA
from samdomain.masks import components
from samdomain.metrics import iou_score, match_objects
from samdomain.prompting import best_alternatives, original_masks
from samdomain.recipes.answering import ask, ask_true_boxes, score_images, score_masks
from samdomain.recipes.batch import Batch
from samdomain.recipes.legend import THING, Legend
from samdomain.recipes.mask_loss import DICE, SAM_COST, MaskLoss
from samdomain.recipes.objects import choose_objects
from samdomain.recipes.recipe import Images, Outputs, Stage, answers_to_images
from samdomain.recipes.refinement import Refinement
from samdomain.recipes.tuning import LIGHT, LIGHT_DECODER, Tuning
from samdomain.recipes.values import Values
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, decode, encode

_ENCODER = ("encoder.q", "encoder.v")
_DECODER = ("decoder.q", "decoder.v")
_MENDING = Refinement(LIGHT_DECODER)
_OFFICIAL_LOSS = MaskLoss(
    smooth=1e-5, squared=True, background=True, pooled=True, slope=2.0, middle=0.5
)


@dataclass(frozen=True)
class SamLP(Values):
    """Train a SAM to detect one kind of thing without prompts; its parts are the objects.

    Stage 1 trains low-rank updates of encoder and decoder with the null prompt. Stage 2,
    `Refinement`, leaves the encoder as it is and teaches the decoder to mend the stage's own
    answer. Presets:

    - "paper": Dice of the three alternatives, updates of queries and values at rank 4; the
      refinement hands back masks, and trains prompt encoder and decoder updates. Its number of
      rounds and the way points are drawn are not published: here 2 rounds without points.
    - "official": what its code trains. There is no stage 2 in it, the rank is 2 (its test asks
      for 4), and a two-channel softmax of [1 - z, z] draws the line at a logit of 0.5, although
      inference draws it at 0. Its optimiser is SGD.
    - "recommended", the defaults: one mask, focal loss beside Dice since objects are small,
      updates in all of the decoder but in the encoder's last block alone, so that a CPU can
      train it. Both stages also answer true boxes, which are as good as free once the image is
      encoded: so the weights keep what they knew of boxes, the only prompt that some of them
      know. The refinement asks with a box around each part.

    Attributes:
        tuning: what trains in stage 1.
        loss_of_masks: loss of every mask.
        multimask: train the three alternatives, each on the same mask, and return the best by
            the decoder's estimate.
        boxes: weight of the answers to true boxes.
        objects: true boxes of an image at most, chosen by chance.
        jitter: share of the width or height by which a side of a true box moves, as one standard
            deviation.
        rate: learning rate of stage 1.
        share: part of the steps that stage 1 takes, in proportion to the refinement's.
        refinement: stage 2, or None for the plain detector.

    Raises:
        InputError: stage 2 freezes parts of the base that stage 1 trains, or begins with
            another kind of mask.

    Source: Ding et al., SamLP: A Customized Segment Anything Model for License Plate Detection
    (arXiv 2401.06374).
    """

    name: ClassVar[str] = "samlp"
    output: ClassVar[str] = "semantic"
    monitor: ClassVar[str] = "iou"

    tuning: Tuning = LIGHT
    loss_of_masks: MaskLoss = SAM_COST
    multimask: bool = False
    boxes: float = 1.0
    objects: int = 4
    jitter: float = 0.05
    rate: float = 1e-3
    share: float = 2.0
    refinement: Refinement | None = _MENDING

    def __post_init__(self) -> None:
        """Refuse a stage 2 that does not go on from stage 1."""
        if self.refinement and self.refinement.multimask != self.multimask:
            raise InputError(
                f"multimask is {self.multimask} in stage 1 and {self.refinement.multimask} in its "
                "refinement: give the same"
            )
        kept = self.refinement.tuning.parts if self.refinement else self.tuning.parts
        lost = [one for one in self.tuning.parts if not _within(one, kept)]
        if lost:
            raise InputError(
                f"stage 1 trains {', '.join(lost)} of the base, stage 2 does not, and an adapter "
                "file holds what trained last: add them to the refinement's tuning"
            )

    @classmethod
    def presets(cls) -> Mapping[str, "SamLP"]:
        """Return the recipe as paper and code have it, and as we advise."""
        paper = Refinement(
            tuning=Tuning((LoRA(_DECODER, rank=4),), ("prompt_encoder",), prompts=("mask",)),
            prior="masks",
            multimask=True,
            rounds=2,
            loss_of_masks=DICE,
            first=0.0,
            boxes=0.0,
            rate=5e-4,
        )
        plain = cls(
            _both(rank=2),
            _OFFICIAL_LOSS,
            multimask=True,
            boxes=0.0,
            rate=5e-3,
            refinement=None,
        )
        return {
            "paper": replace(plain, tuning=_both(rank=4), loss_of_masks=DICE, refinement=paper),
            "official": plain,
            "recommended": cls(),
        }

    @property
    def legend(self) -> Legend:
        """Return that there is one kind of thing."""
        return THING

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the detector and, where there is one, its refinement."""
        return (self,) if self.refinement is None else (self, self.refinement)

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject what stage 1 needs and set what trains, in the model itself."""
        return self.tuning(sam)

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode the images once, and answer the null prompt and true boxes."""
        embedding = batch.encoded(sam)
        null = decode(sam, embedding, Prompts.null(len(batch)), multimask=self.multimask)
        outputs = {"null": answers_to_images(null, batch)}
        if self.boxes:
            chosen = choose_objects(batch.objects(), self.objects, torch.default_generator)
            outputs["boxes"] = ask_true_boxes(sam, embedding, chosen, self.jitter)
        return outputs

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - contract
        """Return the loss of the null prompt's masks and of the true boxes'."""
        weights = {"null": 1.0, "boxes": self.boxes}
        return {
            name: weights[name] * self.loss_of_masks(one.prediction.low_res, one.target)
            for name, one in outputs.items()
        }

    def answer(
        self, sam: SamLike, embedding: Embedding, prompts: Prompts | None = None
    ) -> Prediction:
        """Return one mask an image, refined, or one a prompt where prompts are given."""
        if prompts is not None:
            return ask(sam, embedding, prompts)
        null = decode(sam, embedding, Prompts.null(len(embedding)), multimask=self.multimask)
        answer = best_alternatives(null)
        return self.refinement.refine(sam, embedding, answer) if self.refinement else answer

    @torch.no_grad()
    def predict(self, sam: SamLike, images: Images, prompts: Prompts | None = None) -> Prediction:
        """Encode images and answer, without gradients; see `answer`."""
        return self.answer(sam, encode(sam, images), prompts)

    @torch.no_grad()
    def measure(self, sam: SamLike, batch: Batch) -> dict[str, Float[Tensor, " n"]]:
        """Measure each image's IoU, and the share of its objects found at an IoU of 0.5.

        "box" is the IoU of objects at their exact box: what the weights still know of prompts.
        """
        embedding = batch.encoded(sam)
        answer = self.answer(sam, embedding)
        pairs = zip(original_masks(answer), batch.objects(), strict=True)
        found = [match_objects(components(mask.cpu()), true.cpu()).recall for mask, true in pairs]
        return {
            "iou": score_images(iou_score, answer, batch),
            "detected": torch.tensor(found),
            "box": self._at_boxes(sam, embedding, batch),
        }

    def _at_boxes(self, sam: SamLike, embedding: Embedding, batch: Batch) -> Float[Tensor, " n"]:
        fixed = torch.Generator().manual_seed(0)
        chosen = choose_objects(batch.objects(), self.objects, fixed)
        return score_masks(
            iou_score, ask_true_boxes(sam, embedding, chosen).prediction, chosen.masks
        )


def _both(rank: int) -> Tuning:
    return Tuning((LoRA(_ENCODER, rank), LoRA(_DECODER, rank)))


def _within(part: str, parts: Sequence[str]) -> bool:
    return any(part == one or part.startswith(f"{one}.") for one in parts)
