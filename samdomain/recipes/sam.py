"""SAM's own recipe: a model that answers a simulated user, who corrects it click by click."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.injection import Injected
from samdomain.lora import LoRA
from samdomain.losses import ambiguity_loss, dice_loss, focal_loss, iou_loss
from samdomain.metrics import iou_score
from samdomain.prompting import (
    InteractiveSchedule,
    boxes_around,
    central_clicks,
    central_pixel,
    corrective_clicks,
    original_masks,
)
from samdomain.recipes.answering import answer_prompts, ask, score_masks
from samdomain.recipes.batch import Batch
from samdomain.recipes.objects import Chosen, choose_objects
from samdomain.recipes.recipe import Answer, Images, Outputs, answer_to
from samdomain.recipes.tuning import LAST_BLOCK, Tuning
from samdomain.recipes.values import Values
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, decode, encode

_LIGHT = Tuning(
    injections=(
        LoRA(
            (
                "decoder.q",
                "decoder.k",
                "decoder.v",
                "decoder.proj",
                "decoder.mlp",
                "mask_decoder.output_hypernetworks_mlps.*",
                "mask_decoder.iou_prediction_head.layers.[01]",
            ),
            rank=16,
        ),
        LAST_BLOCK,
    ),
    parts=(
        "decoder.norms",
        "decoder.tokens",
        "prompt_encoder.clicks",
        "prompt_encoder.masks",
    ),
    prompts=("point", "mask"),
)


@dataclass(frozen=True)
class Promptable(Values):
    """Train a SAM to answer clicks, boxes and its own earlier answers.

    Each image is encoded once. Some of its objects are asked for at a time by a simulated user,
    see `InteractiveSchedule`; every round's answers learn from focal, Dice and IoU losses,
    20:1:1. Of three alternatives only the best learns its mask, all learn their quality. Rounds
    count alike. SAM's own training code was not published. Presets:

    - "paper": as SAM was trained, 11 rounds over all weights.
    - "recommended", the defaults: low-rank updates of the decoder and of the encoder's last block
      learn together with the embeddings of clicks and of masks; what comes before is frozen, and
      so computed once and kept. It teaches clicks to weights that know boxes alone, as LiteMedSAM.
      A click says nothing of an object's size, so the encoder learns what objects of the field
      look like; beside many answers an image its block costs next to nothing. The
      embeddings of boxes stay as they are, and a share of the first rounds are boxes, so that
      boxes are not unlearned. Half of the rounds hand no mask back, since users often give all of
      their clicks at once; what would be asked a second time alike is not. A click means one
      thing in a field: half of the lone clicks ask for the one mask, which answers them from then
      on. Fewer corrections make a step as short as a CPU needs.

    Attributes:
        tuning: what trains.
        objects: objects of an image at most in a step, chosen by chance.
        corrections: rounds with a new click; two more follow that have none, see
            `InteractiveSchedule`.
        box_share: chance that the first round has boxes.
        mask_share: chance that a later round hands back the last answer's logits.
        multimask_share: chance that a lone first click asks for the three alternatives.
        alternatives: whether a lone click is answered by the best of them; see `SamSpec`.
        focal: weight of the focal loss.
        dice: weight of the Dice loss.
        iou: weight of the squared error of the estimated IoU.
        rate: learning rate.
        share: part of the training's steps; there is no other stage.

    Source: Kirillov et al., Segment Anything (2023), appendix A, "Training algorithm".
    """

    name: ClassVar[str] = "sam"
    output: ClassVar[str] = "prompted"
    monitor: ClassVar[str] = "one_click"

    tuning: Tuning = _LIGHT
    objects: int = 4
    corrections: int = 2
    box_share: float = 0.3
    mask_share: float = 0.5
    multimask_share: float = 0.5
    alternatives: bool = False
    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    rate: float = 1e-3
    share: float = 1.0

    @classmethod
    def presets(cls) -> Mapping[str, "Promptable"]:
        """Return the recipe as the paper has it, and as we advise."""
        paper = cls(
            tuning=Tuning(parts=("all",), prompts=("point", "box", "mask")),
            objects=64,
            corrections=8,
            box_share=0.5,
            mask_share=1.0,
            multimask_share=1.0,
            alternatives=True,
            rate=8e-4,
        )
        return {"paper": paper, "recommended": cls()}

    @property
    def legend(self) -> None:
        """Return nothing: every answer is one to a prompt."""

    @property
    def stages(self) -> tuple["Promptable"]:
        """Return the recipe: it trains in one stage."""
        return (self,)

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject what the recipe needs and set what trains, in the model itself."""
        records = self.tuning(sam)
        sam.spec = replace(sam.spec, alternatives=self.alternatives)
        return records

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode the images once, and let a simulated user ask for some of their objects."""
        embedding = batch.encoded(sam)
        chance = torch.default_generator
        chosen = choose_objects(batch.objects(), self.objects, chance)
        if not chosen.masks:
            nothing = Prompts(boxes=torch.zeros(0, 4), images=chosen.images)
            return {"round_1": answer_to(decode(sam, embedding, nothing), [])}
        schedule = InteractiveSchedule(self.corrections, self.box_share)
        interaction = schedule.begin(chosen.masks, chance, chosen.images)
        several = interaction.turn.multimask and float(torch.rand(())) < self.multimask_share
        first = decode(sam, embedding, interaction.turn.prompts, multimask=several)
        answers = [answer_to(first, chosen.masks)]
        while (turn := interaction.answer(answers[-1].prediction)) is not None:
            prompts = self._handed(turn.prompts)
            if prompts.masks is None and not turn.clicked and _is_single(answers[-1]):
                continue  # the same question again
            answers.append(Answer(decode(sam, embedding, prompts), answers[0].target))
        return {f"round_{number}": answer for number, answer in enumerate(answers, 1)}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - contract
        """Return the loss of the masks and that of their estimated IoU."""
        masks = [
            ambiguity_loss(a.prediction.low_res, a.target, cost=self._cost)
            for a in outputs.values()
        ]
        quality = [_quality(answer) for answer in outputs.values()]
        return {"masks": torch.stack(masks).mean(), "iou": self.iou * torch.stack(quality).mean()}

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
        """Measure the IoU of objects at one central click, at five, and at their exact box.

        The later clicks fall in the middle of what the last answer has wrong. In images with
        many objects, those are measured that a fixed seed chooses.
        """
        embedding = batch.encoded(sam)
        fixed = torch.Generator().manual_seed(0)
        chosen = choose_objects(batch.objects(), self.objects, fixed)
        if not chosen.masks:
            return {name: torch.zeros(0) for name in ("one_click", "five_clicks", "box")}
        clicked = click_by_click(sam, embedding, chosen, 5)
        boxed = ask(sam, embedding, boxes_around(chosen.masks, chosen.images))
        answers = {"one_click": clicked[0], "five_clicks": clicked[-1], "box": boxed}
        return {name: score_masks(iou_score, a, chosen.masks) for name, a in answers.items()}

    def _handed(self, prompts: Prompts) -> Prompts:
        kept = float(torch.rand(())) < self.mask_share
        return prompts if kept else replace(prompts, masks=None)

    def _cost(self, logits: Tensor, target: Tensor) -> Tensor:
        focal = focal_loss(logits, target, reduction="none")
        return self.focal * focal + self.dice * dice_loss(logits, target, reduction="none")


def click_by_click(
    sam: SamLike, embedding: Embedding, chosen: Chosen, clicks: int
) -> list[Prediction]:
    """Ask for objects by one click each, in their middle, then by more where the answer errs.

    Nothing depends on chance. All clicks so far are given at once, without a mask.

    Args:
        sam: model to ask.
        embedding: encoded images.
        chosen: objects to ask for, one at least.
        clicks: clicks on each object in the end, 1 or more.

    Returns:
        list: the answers after each click.
    """
    prompts = central_clicks(chosen.masks, chosen.images)
    answers = [ask(sam, embedding, prompts)]
    for _ in range(clicks - 1):
        wrong = [one.cpu() for one in original_masks(answers[-1])]
        true = [one.cpu() for one in chosen.masks]
        new = corrective_clicks(true, wrong, torch.default_generator, pick=central_pixel)
        prompts = _with_clicks(prompts, new)
        answers.append(ask(sam, embedding, prompts))
    return answers


def _with_clicks(prompts: Prompts, new: Prompts) -> Prompts:
    pairs = [(prompts.points, new.points), (prompts.labels, new.labels)]
    points, labels = (
        torch.cat([one for one in pair if isinstance(one, Tensor)], dim=1) for pair in pairs
    )
    return replace(prompts, points=points, labels=labels)


def _is_single(answer: Answer) -> bool:
    return answer.prediction.low_res.shape[1] == 1


def _quality(answer: Answer) -> Tensor:
    logits = answer.prediction.low_res
    target = answer.target[:, None].expand(logits.shape)
    return iou_loss(answer.prediction.iou, logits, target)
