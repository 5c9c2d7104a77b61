"""Images in one folder, masks of the same names in another."""

from dataclasses import dataclass, field
from pathlib import Path

from samdomain.errors import InputError
from samdomain.training.objects import Objects, Whole
from samdomain.training.pictures import pictures
from samdomain.training.sample import (
    SPLIT_NAMES,
    FolderSource,
    Found,
    ImageFile,
    MaskFile,
    Sample,
    Split,
    first_folder,
)
from samdomain.training.splits import chosen, read_splits

SPLITS = "splits.csv"


@dataclass(frozen=True)
class Folders(FolderSource):
    """Pair images with masks by their names without the ending.

    The splits are folders (`train/images`, `train/masks`, ...), or a file `splits.csv` beside
    `images` and `masks`. Without either, all is for training, and validation is taken from it.

    Attributes:
        images: name of the folder of images.
        masks: name of the folder of masks.
        objects: how the values of a mask file become objects.
        suffix: what the names of masks have behind those of the images, as "_mask".
        within, looks: see `FolderSource`.
    """

    images: str = "images"
    masks: str = "masks"
    objects: Objects = field(default_factory=Whole)
    suffix: str = ""

    def find(self, folder: Path, split: Split) -> Found:
        """Find the pairs of a split; see `Source.find`."""
        folder = folder / self.within
        own = first_folder(folder, SPLIT_NAMES[split])
        if own is not None and (own / self.images).is_dir():
            return self._pairs(own)
        if (folder / self.images).is_dir():
            return self._listed(folder, split)
        if any(first_folder(folder, names) for names in SPLIT_NAMES.values()):
            return Found(())
        raise InputError(
            f"{folder} has no folder {self.images!r}, nor train/{self.images}: "
            "give the folder of the data, as --data.folder"
        )

    def _listed(self, folder: Path, split: Split) -> Found:
        listing = folder / SPLITS
        if not listing.is_file():
            return self._pairs(folder) if split == "train" else Found(())
        found = self._pairs(folder)
        splits, root = read_splits(listing), folder / self.images
        samples = tuple(
            one
            for one in found.samples
            if isinstance(one.image, ImageFile) and chosen(one.image.path, root, splits, split)
        )
        return Found(samples, found.problems if split == "train" else ())

    def _pairs(self, folder: Path) -> Found:
        if not (folder / self.masks).is_dir():
            raise InputError(f"{folder} has no folder {self.masks!r} beside {self.images!r}")
        images, problems = _by_name(folder / self.images, "")
        masks, others = _by_name(folder / self.masks, self.suffix)
        problems += others
        if self.images == self.masks:
            images = {name: path for name, path in images.items() if path not in masks.values()}
        problems += [f"{p} has no mask" for name, p in images.items() if name not in masks]
        problems += [f"{p} has no image" for name, p in masks.items() if name not in images]
        samples = tuple(
            Sample(name, ImageFile(path), MaskFile(masks[name], self.objects))
            for name, path in images.items()
            if name in masks
        )
        return Found(samples, tuple(problems))


def _by_name(folder: Path, suffix: str) -> tuple[dict[str, Path], list[str]]:
    """Return files by their path without the ending, and what stands there twice."""
    files: dict[str, Path] = {}
    problems: list[str] = []
    for path in pictures(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if not name.endswith(suffix):
            continue
        name = name.removesuffix(suffix)
        if name in files:
            problems.append(f"{path} and {files[name].name} share a name: only the second is used")
            continue
        files[name] = path
    return files, problems
