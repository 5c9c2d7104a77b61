"""Carry out a run as its flags say: where, by whom, how much of it, and whether to go on."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain_geo.engine.block_store import (
    BlockStore,
    claim_store,
    clear_ended,
    open_store,
    remove_store,
)
from samdomain_geo.engine.estimate import Draft, estimate
from samdomain_geo.engine.plan import Manifest
from samdomain_geo.engine.run import Part, run
from samdomain_geo.engine.schedulers import scheduler_for
from samdomain_geo.engine.station import Work
from samdomain_geo.results.output import refuse_existing

Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """Where a run keeps its blocks and puts its results.

    Attributes:
        blocks: folder of the blocks, on the same disk as the results.
        results: files that the run writes into one folder, the one that proves the others last.
    """

    blocks: Path
    results: tuple[Path, ...]

    @property
    def proof(self) -> Path:
        """The result that proves the others complete."""
        return self.results[-1]

    def refuse_existing(self) -> None:
        """Refuse to write over earlier results.

        Raises:
            InputError: there are any.
        """
        refuse_existing(self.proof.parent, [path.name for path in self.results])

    def check_writable(self) -> None:
        """Refuse, before any work, a place that results cannot be written to.

        Raises:
            InputError: it is below a file, or belongs to others.
        """
        folder = self.proof.parent
        home = next(
            path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()
        )
        if not (home.is_dir() and os.access(home, os.W_OK)):
            raise InputError(f"{folder} cannot be made: {home} is no folder that you may write to")


@dataclass(frozen=True)
class Conduct:
    """How a run is carried out; none of it changes a byte of the results but `threads`.

    Attributes:
        workers: processes of Dask to start on this machine; None for this process alone.
        scheduler: address of a Dask scheduler whose workers share the blocks.
        threads: threads of the network in each process.
        part: share of the blocks as I/N; the results wait for `samdomain finish`.
        resume: go on with work that was stopped.
        dry_run: tell what the run would cost, and do nothing.
        overwrite: replace earlier results, and drop unfinished work.

    Raises:
        InputError: values are out of range or contradict each other.
        MissingExtraError: Dask is asked for and not installed.
    """

    workers: int | None = None
    scheduler: str | None = None
    threads: int | None = None
    part: str | None = None
    resume: bool = False
    dry_run: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        Part.parse(self.part)
        scheduler_for(self.workers, self.scheduler)
        if self.threads is not None and self.threads < 1:
            raise InputError(f"--threads is {self.threads}: give 1 or more")
        _refuse_both("--dry-run tells of the whole run, --part does some", self.dry_run, self.part)
        _refuse_both("--resume keeps work, --overwrite drops it", self.resume, self.overwrite)

    def ended(self, place: Place) -> Facts | None:
        """Look, before any work, at what an earlier run has left.

        Returns:
            Facts: nothing is left to do; None: there is.

        Raises:
            InputError: results or unfinished work are in the way.
        """
        if self.dry_run:
            return None
        place.check_writable()
        begun = place.blocks.exists()
        if begun and not (self.resume or self.overwrite or self.part):
            raise InputError(
                f"{place.blocks} holds unfinished work: go on with --resume, or begin anew with "
                "--overwrite"
            )
        if not begun and self.resume and place.proof.exists():
            clear_ended(place.blocks)
            return Facts({"file": str(place.proof), "to do": "nothing: it was complete"})
        if not begun and not self.overwrite:
            place.refuse_existing()
        return None

    def carry_out(
        self,
        place: Place,
        manifest: Manifest,
        work: Work,
        finish: Callable[[BlockStore, Mapping[str, float]], Result],
        draft: Draft | None = None,
    ) -> Result | Facts:
        """Do the blocks of a manifest and finish, or as much of it as is asked for.

        Args:
            place: where blocks and results go.
            manifest: the run.
            work: what is done for each block.
            finish: make the results of the blocks, given the seconds that they took by step.
            draft: write the files of a run with one block, for a dry run.

        Returns:
            What `finish` returns; facts of the work for a part or a dry run.

        Raises:
            InputError: an input cannot be used, or earlier work does not fit; what was begun
                is removed.
            StoppedError: stopped half-way; finished blocks are kept.
        """
        if self.dry_run:
            return Facts(estimate(manifest, work, self.workers or 1, draft))
        begun, home = place.blocks.exists(), place.blocks.parent.exists()
        if begun and self.overwrite and not (self.resume or self.part):
            remove_store(place.blocks)
        # One job of an array begins, the others join.
        store = claim_store(place.blocks, manifest, resume=self.resume or self.part is not None)
        try:
            chosen = scheduler_for(self.workers, self.scheduler)
            seconds = run(store, work, chosen, Part.parse(self.part))
        except InputError:
            if not begun:
                store.remove()
            if not home:
                place.blocks.parent.rmdir()
            raise
        if self.part is not None:
            return Facts(
                {
                    "blocks to do": len(store.missing()),
                    "then": f"samdomain finish {place.blocks}",
                    "seconds": seconds,
                }
            )
        return finish(store, seconds)

    def begun(self, place: Place) -> Manifest | None:
        """Return the manifest of the work that is gone on with; None where work begins."""
        if (self.resume or self.part) and place.blocks.exists():
            return open_store(place.blocks).manifest
        return None

    def threads_at(self, place: Place) -> int:
        """Return the threads of the network: those asked for, or those that a run began with."""
        if self.threads is not None:
            return self.threads
        if (begun := self.begun(place)) is not None:
            return begun.threads
        # Sums depend on it in their last bits: the same for any number of workers.
        alone = self.workers is None and self.scheduler is None
        return torch.get_num_threads() if alone else 1


def _refuse_both(why: str, one: object, other: object) -> None:
    if one and other:
        raise InputError(f"{why}: give one of them")
