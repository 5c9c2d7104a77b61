"""Several sources as one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from samdomain.errors import InputError
from samdomain.training.looks import Looks
from samdomain.training.sample import Found, Sample, Source, Split


@dataclass(frozen=True)
class Joined(Source):
    """Put the samples of several sources behind one another.

    Attributes:
        sources: the sources by a name, which stands before the names of its samples.
        shares: how much of an epoch a source has, in proportion to the others that are named
            here, so that a small source is not drowned by a large one. Those that are not named
            keep the weights of their samples.

    Raises:
        InputError: a share is of no source, or not above 0.
    """

    sources: dict[str, Source]
    shares: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        """Refuse shares that mean nothing."""
        if unknown := self.shares.keys() - self.sources.keys():
            raise InputError(
                f"a share is given to {', '.join(sorted(unknown))}: sources are "
                f"{', '.join(self.sources)}"
            )
        if wrong := {name: one for name, one in self.shares.items() if not one > 0}:
            raise InputError(f"shares are {wrong}: give numbers above 0")

    def augmentation(self) -> Looks:
        """Return the looks that all sources have.

        Raises:
            InputError: they differ.
        """
        own = [source.augmentation() for source in self.sources.values()]
        first, *others = own or [super().augmentation()]
        if different := [one for one in others if one != first]:
            raise InputError(
                f"joined sources have different looks, {first} and {different[0]}: give the same "
                "to all of them"
            )
        return first

    def find(self, folder: Path, split: Split) -> Found:
        """Find what each source finds; see `Source.find`.

        Raises:
            InputError: images of one source have a fixed range of values, others their own.
        """
        found = {name: source.find(folder, split) for name, source in self.sources.items()}
        ranges = {one.value_range: name for name, each in found.items() for one in each.samples}
        if len(ranges) > 1:
            told = ", ".join(f"{name} {span or 'its own'}" for span, name in ranges.items())
            raise InputError(
                f"a batch has one range of values, but sources differ ({told}): cut all of them "
                "into chips of one range, or none"
            )
        return Found(
            tuple(self._named(found)),
            tuple(problem for one in found.values() for problem in one.problems),
        )

    def _named(self, found: Mapping[str, Found]) -> Iterator[Sample]:
        number = sum(len(found[name].samples) for name in self.shares)
        for name, one in found.items():
            weight = 1.0
            if name in self.shares and one.samples:
                share = self.shares[name] / sum(self.shares.values())
                weight = share * number / sum(sample.weight for sample in one.samples)
            for sample in one.samples:
                yield replace(sample, name=f"{name}/{sample.name}", weight=sample.weight * weight)
