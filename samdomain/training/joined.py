"""Several sources as one."""

from dataclasses import dataclass, replace
from pathlib import Path

from samdomain.training.sample import Found, Source, Split


@dataclass(frozen=True)
class Joined(Source):
    """Put the samples of several sources behind one another.

    Attributes:
        sources: the sources by a name, which stands before the names of its samples.
    """

    sources: dict[str, Source]

    def find(self, folder: Path, split: Split) -> Found:
        """Find what each source finds; see `Source.find`."""
        found = {name: source.find(folder, split) for name, source in self.sources.items()}
        return Found(
            tuple(
                replace(sample, name=f"{name}/{sample.name}")
                for name, one in found.items()
                for sample in one.samples
            ),
            tuple(problem for one in found.values() for problem in one.problems),
        )
