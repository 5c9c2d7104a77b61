"""Two dates of each place in two folders, what changed in a third: the layout of change data."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Num
from torch import Tensor

from samdomain.errors import InputError
from samdomain.training.folders import Folders
from samdomain.training.looks import Looks, Temporal
from samdomain.training.objects import Objects, Whole
from samdomain.training.sample import FolderSource, Found, Image, Sample, Scale, Split

EIGHT_BITS = (0.0, 255.0)


@dataclass(frozen=True)
class PairImage:
    """Two dates of one place as one image.

    Attributes:
        before: the earlier date.
        after: the later date, on the same grid.
    """

    before: Image
    after: Image

    def read(self) -> Num[Tensor, "t c h w"]:
        """Read both dates (T=2, C, H, W).

        Raises:
            InputError: one cannot be read, or they differ in size.
        """
        before, after = self.before.read(), self.after.read()
        if before.shape != after.shape:
            raise InputError(
                f"{self.before} is {tuple(before.shape)}, {self.after} is {tuple(after.shape)}: "
                "give both dates on one grid"
            )
        return torch.stack([before, after.to(before.dtype)])

    def digest(self) -> str | None:
        """Return the digests of both dates."""
        digests = self.before.digest(), self.after.digest()
        return None if None in digests else "+".join(map(str, digests))

    def __str__(self) -> str:
        return f"{self.before} with {self.after}"


@dataclass(frozen=True)
class Pairs(FolderSource):
    """Pair the dates of each place with the mask of what changed, by their names.

    The splits are folders (`train/A`, `train/B`, `train/label`, ...), or a file `splits.csv`
    beside the three folders; see `Folders`. Values of pixels have one range for all images:
    scaled by a range of its own each, a place would differ from itself.

    Attributes:
        before: name of the folder of the earlier date.
        after: name of the folder of the later date.
        masks: name of the folder of masks: black where nothing changed.
        objects: how the values of a mask file become objects.
        values: lowest and highest value of a pixel.
        looks: what training does to the dates of a pair; by default it swaps them by chance.
        within: see `FolderSource`.
    """

    before: str = "A"
    after: str = "B"
    masks: str = "label"
    objects: Objects = field(default_factory=Whole)
    values: tuple[float, float] = EIGHT_BITS
    looks: Looks = field(default_factory=Temporal, kw_only=True)

    def scale(self, folder: Path) -> Scale:  # noqa: ARG002 - the base's
        """Return the scale of the pairs: their range of values."""
        return Scale(values=self.values)

    def find(self, folder: Path, split: Split) -> Found:
        """Find the pairs of a split; see `Source.find`."""
        first, second = (
            Folders(images, self.masks, self.objects, within=self.within).find(folder, split)
            for images in (self.before, self.after)
        )
        later = {sample.name: sample.image for sample in second.samples}
        samples = tuple(
            Sample(
                sample.name,
                PairImage(sample.image, later[sample.name]),
                sample.masks,
                value_range=self.values,
            )
            for sample in first.samples
            if sample.name in later
        )
        alone = {sample.name for sample in first.samples} ^ later.keys()
        problems = dict.fromkeys((*first.problems, *second.problems))
        return Found(samples, (*problems, *(f"{name} has one date only" for name in sorted(alone))))
