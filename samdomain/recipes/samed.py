"""SAMed: classes for every pixel, from a token each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.bands import Bands
from samdomain.classes import ClassTokens, PyramidClasses, classify
from samdomain.errors import InputError
from samdomain.injection import Injected, Injection
from samdomain.lora import LoRA
from samdomain.metrics import class_figures
from samdomain.prompting import low_res_masks
from samdomain.recipes.answering import ask
from samdomain.recipes.batch import Batch
from samdomain.recipes.class_cost import ClassCost
from samdomain.recipes.legend import Legend
from samdomain.recipes.recipe import Answer, Images, Outputs
from samdomain.recipes.tuning import LAST_BLOCK, LIGHT_DECODER, Tuning
from samdomain.recipes.values import Values
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, encode

Head = Literal["tokens", "pyramid"]

_HEADS: dict[Head, type[ClassTokens | PyramidClasses]] = {
    "tokens": ClassTokens,
    "pyramid": PyramidClasses,
}
# Of the decoder's own tokens none is asked for classes.
_LIGHT = Tuning((*LIGHT_DECODER.injections, LAST_BLOCK), ("decoder.norms", "prompt_encoder.null"))
_COST = ClassCost()
_RGB = 3


@dataclass(frozen=True)
class SAMed(Values):
    """Train a SAM to name every pixel, without prompts.

    The decoder reads one token a class in the place of its mask tokens, and a softmax over the
    classes is the answer. Presets:

    - "paper": updates of queries and values at rank 4 in all of the encoder; decoder and prompt
      encoder train as a whole. Its rate goes with a warm-up of 250 steps and a poly decay.
    - "small": SAMed_s of its code, with updates in the decoder in the place of all of it.
    - "recommended", the defaults: updates in all of the decoder and in the encoder's last block,
      so that a CPU trains it; a Dice loss that does not square, which is as steep where a class
      is nearly missed.
    - "pyramid": the light decoder over the encoder's maps in the place of SAM's.

    Masks of a batch are the class of each pixel (H, W), from 0 on in the order of the names; or,
    for labels that may overlap, one plane (K, H, W) each. The answers to prompts are those of the
    tuned decoder.

    Attributes:
        classes: names of the classes; a background is one of them.
        head: "tokens" for SAM's decoder with a token a class, "pyramid" for a light decoder.
        tuning: what trains beside the head.
        cost: loss of the maps.
        multilabel: a pixel may have any number of the classes: a sigmoid each, no softmax.
        ignore: value of pixels that nobody labelled.
        bands: channels of an image; more than three are mixed to the base's by trained weights.
        rgb: which bands are red, green and blue, counted from 0.
        rate: learning rate.
        share: part of the training's steps; there is no other stage.

    Raises:
        InputError: there is no class, a name stands twice, or weights and classes differ in
            number.

    Source: Zhang and Liu, Customized Segment Anything Model for Medical Image Segmentation
    (arXiv 2304.13785).
    """

    name: ClassVar[str] = "samed"
    output: ClassVar[str] = "semantic"
    monitor: ClassVar[str] = "pooled_miou_true"

    classes: tuple[str, ...] = ("background", "object")
    head: Head = "tokens"
    tuning: Tuning = _LIGHT
    cost: ClassCost = _COST
    multilabel: bool = False
    ignore: int = 255
    bands: int = _RGB
    rgb: tuple[int, ...] = (0, 1, 2)
    rate: float = 1e-3
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse classes that contradict one another."""
        legend = self.legend
        if self.cost.weights and len(self.cost.weights) != len(legend):
            raise InputError(
                f"{len(self.cost.weights)} weights were given for {len(legend)} classes: "
                "give one each"
            )
        if self.head not in _HEADS:
            raise InputError(f"head is {self.head!r}: allowed are {', '.join(_HEADS)}")

    @classmethod
    def presets(cls) -> Mapping[str, "SAMed"]:
        """Return the recipe as paper and code have it, and as we advise."""
        official = ClassCost(smooth=1e-5, squared=True)
        encoder = LoRA(rank=4)
        small = LoRA(("decoder.q", "decoder.v"), rank=4)
        return {
            "paper": cls(
                tuning=Tuning((encoder,), ("decoder", "prompt_encoder")), cost=official, rate=5e-3
            ),
            "small": cls(tuning=Tuning((encoder, small)), cost=official, rate=5e-3),
            "pyramid": cls(head="pyramid", tuning=Tuning((LAST_BLOCK,))),
            "recommended": cls(),
        }

    @property
    def legend(self) -> Legend:
        """Return what the channels of the answer mean."""
        return Legend(tuple(self.classes), self.multilabel, self.ignore)

    @property
    def stages(self) -> tuple["SAMed"]:
        """Return the recipe: it trains in one stage."""
        return (self,)

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Inject bands and head and what the tuning says, and set what trains."""
        made: list[Injection] = [_HEADS[self.head](len(self.classes))]
        if self.bands != _RGB:
            made.insert(0, Bands(self.bands, self.rgb))
        return replace(self.tuning, injections=(*made, *self.tuning.injections))(sam)

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode the images once and decode all classes."""
        return self.aim(self.decode(sam, batch.encoded(sam)), batch)

    def decode(self, sam: SamLike, embedding: Embedding) -> tuple[Prediction]:
        """Decode all classes of images that are encoded already."""
        return (classify(sam, embedding),)

    def aim(self, predictions: Sequence[Prediction], batch: Batch) -> Outputs:
        """Return what a step decoded with the share of each class in its cells."""
        (prediction,) = predictions
        legend, size = self.legend, prediction.low_res.shape[-1]
        planes = [true for true, _ in self._truth(batch)]
        images = torch.arange(len(batch)).repeat_interleave(len(legend))
        every = [plane for own in planes for plane in own]
        shares = low_res_masks(every, prediction.frame, size, images=images)
        target = shares.unflatten(0, (len(batch), len(legend)))
        return {"classes": Answer(prediction, target.to(prediction.low_res))}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return cross-entropy and Dice of the classes."""
        answer = outputs["classes"]
        logits = answer.prediction.low_res
        if not self.multilabel:
            return self.cost.of_classes(logits, answer.target)
        # Padding is no place that somebody looked at.
        frame, images = answer.prediction.frame, torch.arange(len(batch))
        labelled = low_res_masks(batch.labelled, frame, logits.shape[-1], images=images)
        return self.cost.of_labels(logits, answer.target, labelled[:, None].to(logits))

    def answer(
        self, sam: SamLike, embedding: Embedding, prompts: Prompts | None = None
    ) -> Prediction:
        """Return all classes of each image, or one mask a prompt where prompts are given."""
        return classify(sam, embedding) if prompts is None else ask(sam, embedding, prompts)

    @torch.no_grad()
    def predict(self, sam: SamLike, images: Images, prompts: Prompts | None = None) -> Prediction:
        """Encode images and answer, without gradients; see `answer`."""
        return self.answer(sam, encode(sam, images), prompts)

    @torch.no_grad()
    def measure(self, sam: SamLike, batch: Batch) -> dict[str, Float[Tensor, " n"]]:
        """Measure each image: the mean IoU of the classes in it, and the share of right pixels.

        A class counts that is in the truth or in the answer; pixels that nobody labelled do not.
        `true_CLASS`, `found_CLASS` and `both_CLASS` are shares of the pixels, for `pooled`.
        """
        prediction = self.answer(sam, batch.encoded(sam))
        rows = [
            self._scores(prediction[i].logits[0], true, labelled)
            for i, (true, labelled) in enumerate(self._truth(batch))
        ]
        return {name: torch.stack([row[name] for row in rows]).cpu() for name in rows[0]}

    def pooled(self, means: Mapping[str, float]) -> dict[str, float]:
        """Return the figures to tell, those of all pixels among them; see `class_figures`.

        Images count alike, whatever their size. A mean over images would count a few pixels of a
        class, where an image shows no more of it, like all of it elsewhere.
        """
        counts = {
            name: (means[f"true_{name}"], means[f"found_{name}"], means[f"both_{name}"])
            for name in self.classes
        }
        alone = {name: means[name] for name in ("miou", "accuracy")}
        return {**alone, **class_figures(counts)}

    def _truth(self, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the planes of each image's classes, and where it is labelled."""
        for mask, name, seen in zip(batch.masks, batch.names, batch.labelled, strict=True):
            planes = self.legend.planes(mask, name) & seen
            yield planes, self.legend.labelled(planes) & seen

    def _scores(self, logits: Tensor, true: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        true, labelled = true.to(logits.device), labelled.to(logits.device)
        found = self.legend.decide(logits) & labelled
        both, either = found & true, (found | true).sum((1, 2))
        right = (found == true).all(dim=0)[labelled].float()
        iou = (both.sum((1, 2)) / either)[either > 0]
        one = logits.new_ones(())  # where there is nothing to be wrong about
        figures = {
            "miou": iou.mean() if len(iou) else one,
            "accuracy": right.mean() if len(right) else one,
        }
        for kind, planes in (("true", true), ("found", found), ("both", both)):
            shares = planes.float().mean((1, 2))
            figures |= {f"{kind}_{n}": s for n, s in zip(self.classes, shares, strict=True)}
        return figures
