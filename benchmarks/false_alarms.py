"""Count what an adapter for polyps marks where there is no polyp.

    python benchmarks/false_alarms.py [ADAPTER]     a folder, or a name: `polyp` by default

Of each image of Kvasir's validation and test one crop of 200 px is taken that holds no pixel of a
polyp, by chance and always the same; an image without room for one gives none. An alarm is a crop
of which more than 1% is marked. `bar` is what is asked for of all crops together. The result is
benchmarks/results/false_alarms/NAME.json.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from grid import write_cell
from real_data import FOLDER
from torch import Tensor

from samdomain.segmenter import Segmenter, load_segmenter
from samdomain.training.dataset import read_item
from samdomain.training.folders import Folders
from samdomain.training.free_squares import pixels_in_squares

SIDE = 200  # pixels
ALARM = 0.01  # share of a crop's area
BAR = 0.1
SPLITS = ("val", "test")


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
    for number, sample in enumerate(Folders().find(FOLDER / "kvasir-seg", split).samples):
        item = read_item(sample)
        place = free_place(item.masks.bool().any(dim=0), number)
        if place is not None:
            top, left = place
            found.append(item.image[:, top : top + SIDE, left : left + SIDE].float())
    return found


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
