"""Count what an adapter for polyps marks where there is no polyp.

    python benchmarks/false_alarms.py [ADAPTER]     a folder, or a name: `polyp` by default

Of each image of Kvasir's validation and test one crop of 200 px is taken that holds no pixel of a
polyp, by chance and always the same; an image without room for one gives none. An alarm is a crop
of which more than 1% is marked. `bar` is what is asked for of all crops together. `val by peak` is
what the recipe's `peak` was chosen by: the alarms, and the polyps whose marks it takes away, of
validation alone. The result is benchmarks/results/false_alarms/NAME.json.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from grid import write_cell
from real_data import FOLDER
from torch import Tensor

from samdomain.recipes import SamSP
from samdomain.segmenter import Segmenter, load_segmenter
from samdomain.training.dataset import read_item
from samdomain.training.folders import Folders
from samdomain.training.free_squares import pixels_in_squares
from samdomain.training.sample import Sample

SIDE = 200  # pixels
ALARM = 0.01  # share of a crop's area
BAR = 0.1
SPLITS = ("val", "test")
PEAKS = (0.5, 0.8, 0.9, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)


def main() -> None:
    """Measure the adapter that the command line names."""
    adapter = sys.argv[1] if len(sys.argv) > 1 else "polyp"
    name = Path(adapter).resolve().parent.name if Path(adapter).name == "adapter" else adapter
    write_cell("false_alarms", Path(name).name, partial(measure, adapter))


def measure(adapter: str) -> dict[str, Any]:
    """Return the share of alarms of each split, and of both."""
    segmenter, card = load_segmenter(adapter)
    fast = segmenter.accelerated()
    shares = {split: marked(fast, crops(split)) for split in SPLITS}
    every = [one for own in shares.values() for one in own]
    return {
        "adapter": card.summary,
        **{split: told(own) for split, own in shares.items()},
        "together": told(every),
        "bar": BAR,
        "val by peak": by_peak(fast),
    }


@torch.no_grad()
def by_peak(segmenter: Segmenter) -> dict[str, dict[str, float]]:
    """Return the alarms of validation, and the polyps that go unmarked, at each peak."""
    recipe = segmenter.recipe
    if not isinstance(recipe, SamSP):
        raise TypeError(f"the recipe {recipe.name!r} has no peak")

    def shares(image: Tensor) -> list[float]:
        embedding = segmenter.encode(image[None])
        asked = (replace(recipe, peak=peak) for peak in PEAKS)
        answers = (one.answer(segmenter.sam, embedding).logits for one in asked)
        return [float((one > 0).float().mean()) for one in answers]

    free = torch.tensor([shares(one) for one in crops("val")])
    polyps = torch.tensor([shares(read_item(one).image.float()) for one in samples("val")])
    alarms, unmarked = (free > ALARM).float().mean(0), (polyps == 0).float().mean(0)
    return {
        str(peak): {"alarms": round(float(alarm), 4), "polyps unmarked": round(float(lost), 4)}
        for peak, alarm, lost in zip(PEAKS, alarms, unmarked, strict=True)
    }


def told(shares: list[float]) -> dict[str, float]:
    """Return how many crops there were, and what became of them."""
    marks = torch.tensor(shares)
    return {
        "crops": len(marks),
        "alarms": round(float((marks > ALARM).float().mean()), 4),
        "anything marked": round(float((marks > 0).float().mean()), 4),
        "median share": round(float(marks.median()), 5),
    }


def marked(segmenter: Segmenter, pieces: list[Tensor]) -> list[float]:
    """Return the share of each crop that is marked."""
    answers = (segmenter.probabilities(one[None])[0] for one in pieces)
    return [float((one > 0.5).any(dim=0).float().mean()) for one in answers]  # noqa: PLR2004


def crops(split: str) -> list[Tensor]:
    """Return a crop (3, SIDE, SIDE) without a polyp of each image that has room for one."""
    found = []
    for number, sample in enumerate(samples(split)):
        item = read_item(sample)
        place = free_place(item.masks.bool().any(dim=0), number)
        if place is not None:
            top, left = place
            found.append(item.image[:, top : top + SIDE, left : left + SIDE].float())
    return found


def samples(split: str) -> Sequence[Sample]:
    """Return the images of a split."""
    return Folders().find(FOLDER / "kvasir-seg", split).samples


def free_place(mask: Tensor, seed: int) -> tuple[int, int] | None:
    """Return top and left of a square without a pixel of a mask, by a seed; None without room."""
    if min(mask.shape) < SIDE:
        return None
    places = (pixels_in_squares(mask, SIDE) == 0).nonzero()
    if not len(places):
        return None
    chance = torch.Generator().manual_seed(seed)
    top, left = places[int(torch.randint(len(places), (1,), generator=chance))].tolist()
    return top, left


if __name__ == "__main__":
    main()
