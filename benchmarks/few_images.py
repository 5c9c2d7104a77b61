"""Lay out few images of a domain, the same for whoever asks."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from real_data import FOLDER
from training import RUNS

from samdomain.recipes import few_shots
from samdomain.training.coco import Coco
from samdomain.training.folders import Folders
from samdomain.training.sample import ImageFile, MaskFile, Sample, Source, Split

LIMITS: Mapping[Split, int] = {"train": 16, "val": 6, "test": 16}
TESTS = {"busi": 99, "kvasir-seg": 99}
"""Images of the test where most have one object."""

Options = dict[str, Any]

PIECES = {"class_path": "samdomain.training.objects.Components", "init_args": {"smallest": 64}}
NUMBERS = {"class_path": "samdomain.training.objects.Ids", "init_args": {"smallest": 16}}
DOMAINS: dict[str, Options | None] = {  # how masks become objects; None where they are COCO's
    "nepal": PIECES,
    "dsb2018": NUMBERS,
    "nwpu-vhr10": None,
    "busi": PIECES,
    "kvasir-seg": PIECES,
}


def laid_out(domain: str) -> Path:
    """Return the folder of a domain's few images; other numbers have another one."""
    limits: dict[Split, int] = {**LIMITS, "test": TESTS.get(domain, LIMITS["test"])}
    folder = RUNS / "wesam-data" / "-".join([domain, *map(str, limits.values())])
    if not folder.exists():
        scratch = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(scratch, ignore_errors=True)
        lay_out(domain, scratch, limits)
        scratch.rename(folder)
    return folder


def lay_out(domain: str, folder: Path, limits: Mapping[Split, int]) -> None:
    """Link so many images of each split, and their masks, below a folder."""
    whole = source_of(domain)
    found = {split: whole(split) for split in limits}
    for split, limit in limits.items():
        samples = found[split]
        taken = few_shots((one.name for one in samples), min(limit, len(samples)))
        chosen = [one for one in samples if one.name in taken]
        if DOMAINS[domain] is None:
            write_coco(folder, split, chosen)
        else:
            link(folder / split, chosen)


def source_of(domain: str) -> Callable[[Split], Sequence[Sample]]:
    """Return what finds the samples of a split of a domain, all of them."""
    folder = FOLDER / domain
    if domain == "nwpu-vhr10":  # the published validation is the test here
        return partial(_of_one_file, Coco(), folder)
    if domain == "busi":
        return partial(_of_folds, folder)
    names = {"nepal": {"images": "tiles"}, "dsb2018": {"masks": "labels"}}.get(domain, {})
    source: Source = Folders(**names)
    return lambda split: source.find(folder, split).samples


def _of_one_file(source: Source, folder: Path, split: Split) -> Sequence[Sample]:
    if split == "test":
        return source.find(folder, "val").samples
    samples = source.find(folder, "train").samples
    held = few_shots((one.name for one in samples), LIMITS["val"])
    return [one for one in samples if (one.name in held) == (split == "val")]


def _of_folds(folder: Path, split: Split) -> Sequence[Sample]:
    """Return benign and malignant cases: fold 0 is the test, fold 1 validation."""
    folds = {"test": {"fold0"}, "val": {"fold1"}, "train": {"fold2", "fold3", "fold4"}}[split]
    rows = [line.split(",") for line in (folder / "splits.csv").read_text().split()[1:]]
    wanted = {(kind, Path(file).stem) for kind, file, fold in rows if fold in folds}
    return [
        replace(one, name=f"{kind}-{one.name}")
        for kind in ("benign", "malignant")
        for one in Folders().find(folder / kind, "train").samples
        if (kind, one.name) in wanted
    ]


def link(folder: Path, samples: Sequence[Sample]) -> None:
    """Link images and masks under the names of their samples."""
    for sample in samples:
        if not isinstance(sample.image, ImageFile) or not isinstance(sample.masks, MaskFile):
            raise TypeError(f"{sample.name} is no pair of files")
        for name, path in (("images", sample.image.path), ("masks", sample.masks.path)):
            place = folder / name / f"{sample.name}{path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())


def write_coco(folder: Path, split: Split, samples: Sequence[Sample]) -> None:
    """Write the part of a COCO file that some samples are of, and link their images."""
    place = folder / "images"
    place.mkdir(parents=True, exist_ok=True)
    images: list[Options] = []
    annotations: list[Options] = []
    for number, sample in enumerate(samples):
        image, masks = sample.image, sample.masks
        if not isinstance(image, ImageFile):
            raise TypeError(f"{sample.name} is no file")
        (place / f"{split}-{image.path.name}").symlink_to(image.path.resolve())
        rows, columns = masks.size()
        file = {"id": number, "file_name": f"{split}-{image.path.name}"}
        images.append({**file, "height": rows, "width": columns})
        annotations += [{**one, "image_id": number} for one in masks.objects]
    content = {"images": images, "annotations": annotations, "categories": []}
    (folder / f"{split}.json").write_text(json.dumps(content))
