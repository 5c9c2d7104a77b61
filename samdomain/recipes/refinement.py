"""The second stage of SamLP: a decoder that mends its own answer, over a finished encoder."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from samdomain.injection import Injected
from samdomain.prompting import best_alternatives, predicted_masks
from samdomain.recipes.answering import ask_true_boxes
from samdomain.recipes.batch import Batch
from samdomain.recipes.mask_loss import SAM_COST, MaskLoss
from samdomain.recipes.objects import (
    ask_for_objects,
    choose_objects,
    meant,
    united,
)
from samdomain.recipes.recipe import Answer, Outputs, answer_to, answers_to_images
from samdomain.recipes.tuning import Tuning
from samdomain.recipes.values import Values
from samdomain.sam import Embedding, Prediction, Prompts, Sam, SamLike, decode

Prior = Literal["masks", "boxes"]


@dataclass(frozen=True)
class Refinement(Values):
    """Train a decoder to mend the answer that it gave to the null prompt.

    The encoder, with all that stage 1 put into it, does not train, so that cached features
    serve the whole stage. An image in which nothing was found keeps its empty answer.

    Attributes:
        tuning: what trains; nothing of the encoder.
        prior: what of an answer prompts the next round: "masks" hands back its logits, "boxes"
            asks with a box around each part. Parts without an object teach nothing: a decoder
            that learns to leave boxes empty leaves true ones empty where things look otherwise.
        multimask: as in stage 1, whether the null prompt has three alternatives; later rounds
            have one mask.
        rounds: decodings after the first.
        loss_of_masks: loss of every mask.
        first: weight of the answer to the null prompt, which the later ones rest on; the paper
            has none.
        boxes: weight of the answers to true boxes, which keep what the weights knew of them.
        objects: true boxes of an image at most in training, chosen by chance, and parts of its
            answer, the largest.
        most: parts of an image at most in inference; smaller ones are dropped as noise.
        smallest: share of the model's input that a part has at least to be asked for: a box
            around a speck finds an object where there is none.
        jitter: share of the width or height by which a side of a true box moves, as one standard
            deviation.
        rate: learning rate.
        share: part of the steps, in proportion to stage 1's.

    Source: Ding et al., SamLP (arXiv 2401.06374), promptable fine-tuning; its code is not
    published.
    """

    tuning: Tuning
    prior: Prior = "boxes"
    multimask: bool = False
    rounds: int = 1
    loss_of_masks: MaskLoss = SAM_COST
    first: float = 1.0
    boxes: float = 1.0
    objects: int = 4
    most: int = 64
    smallest: float = 2.5e-4
    jitter: float = 0.05
    rate: float = 5e-4
    share: float = 1.0

    def adapt(self, sam: Sam) -> tuple[Injected, ...]:
        """Set what trains, in the model that stage 1 left."""
        return self.tuning(sam)

    def forward(self, sam: SamLike, batch: Batch) -> Outputs:
        """Encode the images once; answer the null prompt, the answer's own prompts, and boxes."""
        embedding = batch.encoded(sam)
        null = decode(sam, embedding, Prompts.null(len(batch)), multimask=self.multimask)
        outputs = {"null": answers_to_images(null, batch)}
        answer = best_alternatives(null)
        for number in range(1, self.rounds + 1):
            asked = self._ask_again(answer, self.objects)
            if asked is None:
                break
            prediction = decode(sam, embedding, asked)
            outputs[f"round_{number}"] = self._should_be(prediction, asked, batch)
            answer = united(prediction, answer)
        if self.boxes:
            chosen = choose_objects(batch.objects(), self.objects, torch.default_generator)
            outputs["boxes"] = ask_true_boxes(sam, embedding, chosen, self.jitter)
        return outputs

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - contract
        """Return the loss of the null prompt's masks, of the rounds', and of the true boxes'."""
        rounds = [one for name, one in outputs.items() if name.startswith("round")]
        # In an image where nothing is found there is nothing to mend: the null prompt learns.
        mended = [self._cost(one) for one in rounds] or [
            0 * outputs["null"].prediction.low_res.sum()
        ]
        terms = {
            "null": self.first * self._cost(outputs["null"]),
            "rounds": torch.stack(mended).mean(),
        }
        if "boxes" in outputs:
            terms["boxes"] = self.boxes * self._cost(outputs["boxes"])
        return terms

    def refine(self, sam: SamLike, embedding: Embedding, answer: Prediction) -> Prediction:
        """Return one answer an image, mended round by round.

        Args:
            sam: adapted model.
            embedding: encoded images.
            answer: one answer an image, to the null prompt.
        """
        for _ in range(self.rounds):
            asked = self._ask_again(answer, self.most)
            if asked is None:
                break
            answer = united(decode(sam, embedding, asked), answer)
        return answer

    def _ask_again(self, answer: Prediction, most: int) -> Prompts | None:
        """Return prompts made from one answer an image, up to so many each."""
        if self.prior == "masks":
            return predicted_masks(answer)  # also where they show nothing
        cells = answer.low_res[0, 0].numel() if len(answer) else 0
        return ask_for_objects(answer, most, self.smallest * cells)

    def _cost(self, answer: Answer) -> Tensor:
        return self.loss_of_masks(answer.prediction.low_res, answer.target)

    def _should_be(self, prediction: Prediction, asked: Prompts, batch: Batch) -> Answer:
        if asked.boxes is None:
            return answers_to_images(prediction, batch)
        masks = meant(asked, batch.objects())
        there = torch.tensor([i for i, mask in enumerate(masks) if bool(mask.any())]).long()
        return answer_to(prediction[there], [masks[i] for i in there.tolist()])
