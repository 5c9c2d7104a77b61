"""Count what answers without prompts get right, image by image and all pixels together."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.metrics import (
    ChangeCounts,
    ObjectHits,
    boundary_f1,
    class_figures,
    dice_score,
    iou_score,
)
from samdomain.recipes import CHANGE, THING, Batch, Legend

Row = dict[str, Any]


@runtime_checkable
class Tally(Protocol):
    """Add images up."""

    def add(self, logits: Float[Tensor, "k h w"], batch: Batch) -> Row:
        """Count the answer to the batch's only image, and return its own figures."""
        ...

    def planes(self, batch: Batch) -> Bool[Tensor, "k h w"]:
        """Return where each class truly is in the batch's only image."""
        ...

    def pooled(self) -> dict[str, float]:
        """Return the figures of all pixels together."""
        ...


class ThingTally:
    """Count one kind of thing: Dice, IoU and boundary F1 of each image, pooled Dice and IoU."""

    def __init__(self) -> None:
        self._counts = torch.zeros(2, dtype=torch.long)  # pixels of both masks, of one and other

    def add(self, logits: Float[Tensor, "1 h w"], batch: Batch) -> Row:
        """Count the answer to an image."""
        true, found = self.planes(batch)[0], logits[0] > 0
        self._counts += torch.stack([(found & true).sum(), found.sum() + true.sum()]).cpu()
        return {
            "image_dice": float(dice_score(found, true)),
            "image_iou": float(iou_score(found, true)),
            "image_boundary_f1": float(boundary_f1(found[None], true[None])),
        }

    def planes(self, batch: Batch) -> Bool[Tensor, "1 h w"]:
        """Return where the thing truly is."""
        return batch.foregrounds()[0][None]

    def pooled(self) -> dict[str, float]:
        """Return Dice and IoU of all pixels; two empty masks agree."""
        both, sizes = self._counts.tolist()
        return {
            "pooled_dice": 2 * both / sizes if sizes else 1.0,
            "pooled_iou": both / (sizes - both) if sizes else 1.0,
        }


class ClassTally:
    """Count classes: how many pixels each has in truth, in the answer, and in both.

    Args:
        legend: names of the classes; pixels that nobody labelled do not count.
    """

    def __init__(self, legend: Legend) -> None:
        self._legend = legend
        self._both = torch.zeros(len(legend), dtype=torch.long)
        self._true = torch.zeros(len(legend), dtype=torch.long)
        self._found = torch.zeros(len(legend), dtype=torch.long)
        self._right = self._labelled = 0

    def add(self, logits: Float[Tensor, "k h w"], batch: Batch) -> Row:
        """Count the answer to an image; its figures are those of the recipe alone."""
        true = self.planes(batch)
        labelled = self._legend.labelled(true)
        found = self._legend.decide(logits) & labelled
        self._both += _sizes(found & true)
        self._true += _sizes(true)
        self._found += _sizes(found)
        self._right += int(((found == true).all(dim=0) & labelled).sum())
        self._labelled += int(labelled.sum())
        return {}

    def planes(self, batch: Batch) -> Bool[Tensor, "k h w"]:
        """Return where each class truly is; unlabelled pixels are in none."""
        return self._legend.planes(batch.masks[0], batch.names[0])

    def pooled(self) -> dict[str, float]:
        """Return the share of right pixels, and the figures of classes; see `class_figures`."""
        true, found, both = (one.tolist() for one in (self._true, self._found, self._both))
        counts = dict(zip(self._legend.names, zip(true, found, both, strict=True), strict=True))
        accuracy = self._right / self._labelled if self._labelled else 1.0
        return {"pooled_accuracy": accuracy, **class_figures(counts)}


class ChangeTally:
    """Count changes: the pixels of each pair, F1 and IoU of all together, and objects hit.

    Pixels that nobody labelled do not count.
    """

    def __init__(self) -> None:
        self._counts, self._hits = ChangeCounts(), ObjectHits()

    def add(self, logits: Float[Tensor, "1 h w"], batch: Batch) -> Row:
        """Count the answer to a pair; its counts let others draw pairs anew."""
        true, seen = self.planes(batch)[0], batch.labelled[0].to(logits.device)
        found = (logits[0] > 0) & seen
        counts, hits = ChangeCounts.of(found, true), ObjectHits.of(found, true)
        self._counts, self._hits = self._counts + counts, self._hits + hits
        named = {f"pixels_{name}": int(one) for name, one in vars(counts).items()}
        return {**named, **{f"objects_{name}": one for name, one in vars(hits).items()}}

    def planes(self, batch: Batch) -> Bool[Tensor, "1 h w"]:
        """Return where something truly changed."""
        return (batch.foregrounds()[0] & batch.labelled[0])[None]

    def pooled(self) -> dict[str, float]:
        """Return the figures of all pixels and of all objects; see `ChangeCounts.figures`."""
        return {**self._counts.figures(), **self._hits.figures()}


def _sizes(planes: Bool[Tensor, "k h w"]) -> Tensor:
    return planes.sum((1, 2)).cpu()


def tally_of(legend: Legend | None) -> Tally | None:
    """Return what counts the answers of a recipe; nothing where it answers prompts alone."""
    if legend is None:
        return None
    if legend == CHANGE:
        return ChangeTally()
    return ThingTally() if legend == THING else ClassTally(legend)
