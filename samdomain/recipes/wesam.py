"""WeSAM: a SAM that adapts to a field by weak prompts alone, held by what it was before."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.anchor import guide, guides_of
from samdomain.automatic import AutomaticMasks
from samdomain.cache import LatestSam
from samdomain.errors import InputError
from samdomain.injection import Injected
from samdomain.lora import LoRA
from samdomain.metrics import iou_score
from samdomain.recipes.agreement import agreement, kept, overlap
from samdomain.recipes.answering import answer_prompts, ask, score_masks
from samdomain.recipes.batch import Batch
from samdomain.recipes.looks import Looks, model_guides, whole_model
from samdomain.recipes.recipe import Outputs
from samdomain.recipes.self_training import Seen, SelfTraining
from samdomain.recipes.strong_view import StrongView
from samdomain.recipes.tuning import LAST_BLOCK, Tuning
from samdomain.recipes.values import Values
from samdomain.recipes.weak_prompts import Asked, WeakPrompts
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, encode
from samdomain.sam.encoding import Images, scaled

_WHITE = 255.0  # of weights that take values as they are
_LATE = Tuning((LAST_BLOCK,))
_ASKING = WeakPrompts()
_STRONG = StrongView()
_LEARNING = SelfTraining()


@dataclass(frozen=True)
class WeSAM(Values):
    """Adapt a SAM with weak prompts and no masks: a student, its teacher, and a frozen anchor.

    All three answer the same prompts. The teacher sees the image as it is (the weak view, turned
    and mirrored by the data), the student its strong view, whose values are changed and whose
    geometry is the same. The student learns the teacher's masks; Dice to the anchor's masks, and
    a contrast of instances between student and anchor, keep both from drifting into what they
    only tell each other: self-training alone collapses. True masks serve to make prompts from,
    in the place of a person; a batch with prompts of its own needs none.

    The teacher lives beside the model since `adapt` (see `samdomain.anchor.guides_of`). A loop of
    your own calls `after_step` behind each step of the optimiser, and keeps
    `guides_of(sam).state_dict()` in its checkpoints, as `samdomain fit` does.

    `measure` tells without labels how good the weights are. `agreement` is the harmonic mean of
    two shares: `views_agree`, how much the answers to both views overlap, and `anchor_kept`, how
    much they keep of what the anchor says of both views alike. A collapsed model has one without
    the other. What it cannot see stands at `samdomain.recipes.agreement.agreement`.
    `anchor_agrees`, how much the answers overlap with the anchor's, is what the alarm looks at.
    Where masks are known, `iou` and `pseudo_iou` (of the teacher's masks) are told too; nothing
    rests on them.

    Paper, code and our advice differ. Thresholds are at logit 0 in all presets; the code draws
    them at 0.5 in places. Presets:

    - "paper": low-rank updates of rank 4 in all of the encoder; a teacher that follows the student
      (momentum 0.9999); the anchor holds the student; negatives are instances of the same image; a
      coarse outline is a mask prompt; a new strong view each time.
    - "official": what the published code does: teacher and student share their weights, and
      gradients flow through the teacher, which takes half of the anchor's term and all of the
      contrast; the number of masks stands in the places of focal alpha and of Dice's smoothing; all
      instances of a step are one mask for Dice; a coarse outline is asked for by its box. Its step
      holds two passes in memory.
    - "recommended", the defaults: only what runs from the encoder's last block on has updates, so
      that the rest is shared by all three and computed once; teacher and anchor keep no
      activations; negatives come from the whole batch; eight fixed strong views, which features on
      disk serve. Of each image four objects are asked for at a time, since decoding them, with 64
      cells a side in LiteMedSAM's embedding, is what a step on a CPU costs. The teacher follows
      fast, within a hundred steps, as such trainings have no more; its momentum and the rate are
      not tuned yet.

    Attributes:
        tuning: what trains.
        asking: what prompts are made of masks.
        strong: how the student's view is changed.
        strong_views: number of different strong views of an image; None makes each a new one,
            which features on disk cannot serve.
        learning: weights of the loss.
        momentum: what stays of the teacher in a step; 0 is a teacher of the student's own weights.
        through_teacher: let gradients flow through the teacher; needs a momentum of 0.
        supervised: learn the true masks in the place of the teacher's: what adaptation without
            labels can be compared with. The best epoch is that of the highest `iou` then.
        collapse: training ends where `anchor_agrees` falls below it; never, where it is None, or
            where the truth is learned: who is far from the source may be right then.
        rate: learning rate.
        share: part of the training's steps; there is no other stage.

    Raises:
        InputError: gradients shall flow through a teacher that has weights of its own.

    Source: Zhang et al., Improving the Generalization of Segmentation Foundation Model under
    Distribution Shift via Weakly Supervised Adaptation (arXiv 2312.03502), and its official code.
    """

    name: ClassVar[str] = "wesam"
    output: ClassVar[str] = "prompted"
    monitor: ClassVar[str] = "agreement"

    tuning: Tuning = _LATE
    asking: WeakPrompts = _ASKING
    strong: StrongView = _STRONG
    strong_views: int | None = 8
    learning: SelfTraining = _LEARNING
    momentum: float = 0.95
    through_teacher: bool = False
    supervised: bool = False
    collapse: float | None = 0.5
    rate: float = 5e-4
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a teacher that gradients cannot reach."""
        if self.through_teacher and self.momentum:
            raise InputError(
                f"gradients flow through a teacher of the student's weights alone: momentum is "
                f"{self.momentum}, set it to 0, or through_teacher to false"
            )

    @classmethod
    def presets(cls) -> Mapping[str, "WeSAM"]:
        """Return the recipe as the paper, its code, and we have it."""
        low_rank = Tuning((LoRA(),))
        forty = WeakPrompts(most=40)
        boxed = WeakPrompts(most=40, polygon_as="box")
        paper = cls(
            tuning=low_rank,
            asking=forty,
            strong_views=None,
            learning=SelfTraining(cross_image=False),
            momentum=0.9999,
            rate=1e-4,
        )
        official = cls(
            tuning=low_rank,
            asking=boxed,
            strong_views=None,
            learning=SelfTraining(cross_image=False, by_number=True),
            momentum=0.0,
            through_teacher=True,
            rate=1e-4,
        )
        return {"paper": paper, "official": official, "recommended": cls()}

    @property
    def legend(self) -> None:
        """Return nothing: every answer is one to a prompt."""

    @property
    def stages(self) -> tuple["WeSAM"]:
        """Return the recipe: it trains in one stage."""
        return (self,)

    @property
    def alarms(self) -> Mapping[str, float]:
        """Return when training has collapsed; see `collapse`."""
        if self.supervised or self.collapse is None:
            return {}
        return {"anchor_agrees": self.collapse}

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject what the recipe needs, set what trains, and remember what the model is now."""
        records = self.tuning(sam)
        guide(sam, self.momentum)
        return records

    def after_step(self, sam: Sam) -> None:
        """Let the teacher follow; call it after each step of the optimiser."""
        model_guides(sam).follow(sam)

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Let anchor, teacher and student answer the same prompts, one after the other."""
        asked = self._asked(sam, batch, torch.default_generator)
        looks = Looks(sam, batch, asked.prompts)
        outputs: dict[str, Seen] = {}
        if self.learning.anchor or self.learning.contrast:
            outputs["anchor"] = looks.anchor()
        if not self.supervised:
            outputs["teacher"] = looks.taught() if self.through_teacher else looks.teacher()
        target = self._target(outputs, asked, looks)
        views = 2**31 if self.strong_views is None else self.strong_views
        view = int(torch.randint(views, ()))
        outputs["student"] = looks.student(self._strongly(looks.shared, batch, view), target)
        return outputs

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - contract
        """Return the terms of `SelfTraining`."""
        seen = {name: one for name, one in outputs.items() if isinstance(one, Seen)}
        teacher = seen.get("teacher") if self.through_teacher else None
        return self.learning(seen["student"], teacher, seen.get("anchor"))

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
        """Measure how much views and anchor agree, and the IoU where masks are known.

        Prompts are of the kind that training has. Where the source finds them by itself, `iou` and
        `pseudo_iou` are at the true boxes of masks that are known, and no label decides. In images
        with many objects, those are measured that a fixed seed chooses. What needs an anchor is
        left out where the model has none, as one that comes from an adapter's file. Where the truth
        is learned, it decides: `agreement` is `iou` then.
        """
        # The model wears other values in between, which a view for standing models cannot see.
        sam = sam.sam if isinstance(sam, LatestSam) else sam
        chance = torch.Generator().manual_seed(0)
        figures = self._figures(sam, batch, self.asking(batch, sam.spec, chance))
        if self._finds(batch) and guides_of(sam) is not None:
            figures |= self._figures(sam, batch, self._asked(sam, batch, chance))
        return figures

    def _figures(self, sam: SamLike, batch: Batch, asked: Asked) -> dict[str, Float[Tensor, " n"]]:
        weak = ask(sam, batch.encoded(sam), asked.prompts)
        strong = ask(sam, self._strongly(sam, batch, 0), asked.prompts)
        figures = {"views_agree": overlap(strong, weak)}
        if (guides := guides_of(sam)) is not None:
            looks = Looks(sam, batch, asked.prompts)
            source = looks.anchor().prediction
            taught = looks.teacher().prediction if guides.teacher else weak
            with guides.as_anchor(whole_model(sam)):
                wavering = ask(looks.shared, self._strongly(looks.shared, batch, 0), asked.prompts)
            figures["anchor_agrees"] = overlap(weak, source)
            figures["anchor_kept"] = kept(weak, source, wavering)
            figures["agreement"] = agreement(figures["views_agree"], figures["anchor_kept"])
            if asked.masks is not None:
                figures["pseudo_iou"] = score_masks(iou_score, taught, asked.masks)
        if asked.masks is not None:
            figures["iou"] = score_masks(iou_score, weak, asked.masks)
            if self.supervised:
                figures["agreement"] = figures["iou"]
        return figures

    def _finds(self, batch: Batch) -> bool:
        """Tell whether the source finds by itself what to ask for."""
        return self.asking.kind == "none" and batch.prompts is None

    def _asked(self, sam: SamLike, batch: Batch, chance: torch.Generator) -> Asked:
        if not self._finds(batch):
            return self.asking(batch, sam.spec, chance)
        boxes = [self._found(sam, batch, place) for place in range(len(batch))]
        images = torch.arange(len(batch)).repeat_interleave(torch.tensor([len(b) for b in boxes]))
        return Asked(Prompts(boxes=torch.cat(boxes), images=images))

    def _found(self, sam: SamLike, batch: Batch, place: int) -> Float[Tensor, "n 4"]:
        """Return boxes around what the anchor finds in an image; it finds the same each time."""
        guides, image = model_guides(sam), batch.images[place]
        key = hashlib.blake2b(image.cpu().contiguous().numpy().tobytes()).digest()
        if key not in guides.notes:
            finder = AutomaticMasks(per_side=16, most=self.asking.most)
            with guides.as_anchor(whole_model(sam)):
                found = finder.within(sam, encode(sam, image, batch.value_range))
            guides.notes[key] = found.boxes
        return guides.notes[key]

    def _target(self, outputs: Mapping[str, Seen], asked: Asked, looks: Looks) -> Tensor:
        if not self.supervised:
            return (outputs["teacher"].prediction.low_res[:, 0].detach() > 0).float()
        if asked.masks is None:
            raise InputError("supervised training needs true masks: the batch has prompts alone")
        return looks.truth(asked.masks)

    def _strongly(self, sam: SamLike, batch: Batch, view: int) -> Embedding:
        """Encode the strong view of each image; where nothing is changed, the image itself."""
        if not self.strong.chance:
            return batch.encoded(sam)
        chance = [torch.Generator().manual_seed(view) for _ in batch.images]
        whole = sam.spec.scaling == "minmax"
        images = [
            scaled(sam.spec, image.float(), batch.value_range) if whole else image.float() / _WHITE
            for image in batch.images
        ]
        changed = [self.strong(one.clamp(0, 1), c) for one, c in zip(images, chance, strict=True)]
        if whole:
            return encode(sam, changed, (0.0, 1.0))
        return encode(sam, [one * _WHITE for one in changed])
