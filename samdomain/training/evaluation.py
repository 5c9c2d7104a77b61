"""Measure an adapted model on a split: figures a mask, and means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from samdomain.metrics import boundary_f1, dice_score, iou_score
from samdomain.recipes import Batch, Recipe
from samdomain.sam import SamLike
from samdomain.training.dataset import collate, read_item
from samdomain.training.epoch_log import to_csv
from samdomain.training.publishing import write_text
from samdomain.training.sample import Sample

Row = dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a split.

    Attributes:
        rows: one row a mask: image, mask, and the figures.
        pooled: figures of all pixels of all images together; empty for a recipe that needs
            prompts.
    """

    rows: tuple[Row, ...]
    pooled: Mapping[str, float]

    def means(self) -> dict[str, float]:
        """Return the mean of each figure over the masks, and the pooled figures."""
        names = dict.fromkeys(
            name for row in self.rows for name in row if name not in {"image", "mask"}
        )
        means = {name: _mean([row[name] for row in self.rows if name in row]) for name in names}
        return {**means, **self.pooled}

    def write(self, path: Path) -> None:
        """Write the rows as CSV, the means last."""
        last = {"image": "mean", "mask": "", **self.means()}
        write_text(path, to_csv([*self.rows, last]))


def evaluate(recipe: Recipe, sam: SamLike, samples: Sequence[Sample]) -> Evaluation:
    """Measure a model on samples, image by image.

    Recipes that answer without prompts are measured on their answer too: Dice, IoU and boundary
    F1 of each image (`image_dice`, ...), and Dice and IoU of all pixels together (`pooled_...`).

    Args:
        recipe: recipe that the model was adapted by.
        sam: adapted model, in eval mode.
        samples: images with masks.
    """
    rows: list[Row] = []
    counts = torch.zeros(2, dtype=torch.long)  # pixels of both masks, of one and the other
    for sample in samples:
        batch = collate([read_item(sample)]).to(sam.prompt_encoder.get_dense_pe().device)
        figures = {k: v.tolist() for k, v in recipe.measure(sam, batch).items()}
        own = [{name: v[i] for name, v in figures.items() if i < len(v)} for i in _rows(figures)]
        if recipe.output == "semantic":
            answer, both = _answered(recipe, sam, batch)
            own = [{**own[0], **answer}, *own[1:]] if own else [answer]
            counts += both
        rows += [{"image": sample.name, "mask": i, **row} for i, row in enumerate(own)]
    return Evaluation(tuple(rows), _pooled(counts) if recipe.output == "semantic" else {})


def _rows(figures: Mapping[str, Sequence[float]]) -> range:
    return range(max((len(values) for values in figures.values()), default=0))


def _answered(recipe: Recipe, sam: SamLike, batch: Batch) -> tuple[Row, torch.Tensor]:
    true = batch.foregrounds()[0]
    predicted = recipe.predict(sam, batch.images).logits[0][0] > 0
    figures = {
        "image_dice": float(dice_score(predicted, true)),
        "image_iou": float(iou_score(predicted, true)),
        "image_boundary_f1": float(boundary_f1(predicted[None], true[None])),
    }
    return figures, torch.stack([(predicted & true).sum(), predicted.sum() + true.sum()]).cpu()


def _pooled(counts: torch.Tensor) -> dict[str, float]:
    both, sizes = counts.tolist()
    # Two empty masks agree, as everywhere in samdomain.metrics.
    return {
        "pooled_dice": 2 * both / sizes if sizes else 1.0,
        "pooled_iou": both / (sizes - both) if sizes else 1.0,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
