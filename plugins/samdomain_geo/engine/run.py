"""Run the blocks of a plan: here, on other processes, or the share of one job in an array."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, Self

from tqdm import tqdm

from samdomain.errors import InputError, StoppedError
from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.engine.station import Work

logger = logging.getLogger(__name__)


class Scheduler(Protocol):
    """Who does which block when; it changes no byte."""

    def run(
        self, work: Work, store: BlockStore, indices: Sequence[int]
    ) -> Iterator[dict[str, float]]:
        """Do blocks in any order, and give the seconds of each step as each is done."""
        ...


@dataclass(frozen=True)
class Part:
    """The share of the blocks that one job of an array does.

    Attributes:
        number: number of the job, counted from 1.
        of: how many jobs there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read a part as commands give it: "2/8"; None is all.

        Raises:
            InputError: it is none.
        """
        if text is None:
            return cls()
        try:
            number, of = (int(word) for word in text.split("/"))
        except ValueError:
            number, of = 0, 0
        if not 1 <= number <= of:
            raise InputError(f"--part is {text!r}: give I/N with I from 1 to N, for example 2/8")
        return cls(number, of)

    def owns(self, place: int) -> bool:
        """Tell whether a block belongs to the part, by its place among those that have work."""
        return place % self.of == self.number - 1


WHOLE = Part()


def run(
    store: BlockStore, work: Work, scheduler: Scheduler, part: Part = WHOLE
) -> dict[str, float]:
    """Do all blocks of a part that are not done yet.

    Args:
        store: where finished blocks are, and the manifest they belong to.
        work: what is done for each block.
        scheduler: who does it.
        part: share of the blocks.

    Returns:
        dict: seconds of each step, added up over all processes, where they overlap; those of the
        whole ("run"); and the blocks done.

    Raises:
        StoppedError: interrupted, disk full or workers lost; finished blocks are kept.
    """
    own = {index for place, index in enumerate(store.manifest.todo) if part.owns(place)}
    todo = [index for index in store.sweep() if index in own]
    spent: Counter[str] = Counter(blocks=len(todo))
    if not todo:
        return dict(spent)
    hidden = True if logger.getEffectiveLevel() > logging.WARNING else None  # None: off a terminal
    done, start = 0, perf_counter()
    try:
        with (
            tqdm(desc=store.manifest.verb, total=len(todo), unit="block", disable=hidden) as bar,
            closing(scheduler.run(work, store, todo)) as laps,
        ):
            for lap in laps:
                spent.update(lap)
                done += 1
                bar.update()
    except KeyboardInterrupt as error:
        raise StoppedError(
            f"interrupted with {done} of {len(todo)} blocks done, which are kept: "
            "run again with --resume"
        ) from error
    spent.update(run=perf_counter() - start)
    return {step: round(seconds, 3) for step, seconds in spent.items()}
