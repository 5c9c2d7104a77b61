"""Measure an adapted model on a split: figures a mask, and means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from samdomain.cache import LatestSam
from samdomain.recipes import Calibration, Pooling, Recipe
from samdomain.sam import SamLike
from samdomain.training.dataset import collate, read_item
from samdomain.training.epoch_log import to_csv
from samdomain.training.publishing import write_text
from samdomain.training.sample import Sample
from samdomain.training.tallies import Row, tally_of


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a split.

    Attributes:
        rows: one row a mask: image, mask, and the figures.
        pooled: figures of all pixels of all images together; empty for a recipe that needs
            prompts.
        pool: makes the figures to tell of the means over the masks; see `Pooling`.
    """

    rows: tuple[Row, ...]
    pooled: Mapping[str, float]
    pool: Callable[[Mapping[str, float]], dict[str, float]] = dict

    def means(self) -> dict[str, float]:
        """Return the mean of each figure over the masks, and the pooled figures."""
        names = dict.fromkeys(
            name for row in self.rows for name in row if name not in {"image", "mask"}
        )
        means = {name: _mean([row[name] for row in self.rows if name in row]) for name in names}
        return {**self.pool(means), **self.pooled}

    def write(self, path: Path) -> None:
        """Write the rows as CSV, the means last."""
        last = {"image": "mean", "mask": "", **self.means()}
        write_text(path, to_csv([*self.rows, last]))


def evaluate(
    recipe: Recipe,
    sam: SamLike,
    samples: Sequence[Sample],
    calibration: Calibration | None = None,
) -> Evaluation:
    """Measure a model on samples, image by image.

    Recipes that answer without prompts are measured on their answer too: of one kind of thing
    Dice, IoU and boundary F1 of each image (`image_dice`, ...), and Dice and IoU of all pixels
    together (`pooled_...`); of classes the pooled IoU of each, their mean and the accuracy.

    Args:
        recipe: recipe that the model was adapted by.
        sam: adapted model, in eval mode.
        samples: images with masks.
        calibration: collects the answers to fit a temperature on; of recipes with a legend.
    """
    rows: list[Row] = []
    tally, seen = tally_of(recipe.legend), LatestSam(sam)
    for sample in samples:
        batch = collate([read_item(sample)]).to(sam.prompt_encoder.get_dense_pe().device)
        figures = {k: v.tolist() for k, v in recipe.measure(seen, batch).items()}
        own = [{name: v[i] for name, v in figures.items() if i < len(v)} for i in _rows(figures)]
        if tally is not None:
            with torch.no_grad():
                logits = recipe.answer(seen, batch.encoded(seen)).logits[0]
            answer = tally.add(logits, batch)
            if calibration is not None:
                calibration.add(logits, tally.planes(batch))
            own = [{**own[0], **answer}, *own[1:]] if own else [answer]
        rows += [{"image": sample.name, "mask": i, **row} for i, row in enumerate(own)]
    pooled = {} if tally is None else tally.pooled()
    return Evaluation(tuple(rows), pooled, recipe.pooled if isinstance(recipe, Pooling) else dict)


def _rows(figures: Mapping[str, Sequence[float]]) -> range:
    return range(max((len(values) for values in figures.values()), default=0))


def _mean(values: Sequence[int | float]) -> float:
    return sum(values) / len(values) if values else float("nan")
