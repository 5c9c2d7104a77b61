"""Find bad data before an hour of training does."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from samdomain.errors import InputError
from samdomain.recipes import Legend
from samdomain.training.data import Samples
from samdomain.training.dataset import read_item
from samdomain.training.sample import Sample, Split


class Findings(dict[str, Any]):
    """What is wrong with data, by kind; printed, it is a list.

    Attributes:
        exit_code: 2 where training could not run, or its figures would mean nothing; else 0.
    """

    exit_code: int = 0

    def summary(self) -> Mapping[str, Any]:
        """Return the findings."""
        return self


_UNREADABLE, _FOREIGN = "unreadable", "not of the classes"
_EMPTY, _FULL, _UNLABELLED = "no object", "all of the image is object", "nothing labelled"

FATAL = (_UNREADABLE, _FOREIGN, "in several splits")
"""Kinds of finding with which training fails, or its figures would be worth nothing."""

_MAP = 2  # dimensions of (H, W)


def check(data: Samples, legend: Legend | None = None) -> Findings:
    """Read every image and mask of training and validation, and the test's where there is one.

    Listed are images and masks that cannot be read or differ in size, masks without an object or
    with nothing else, maps that hold what is no class or have no label, images without masks and
    masks without images, two files of one name, and images whose content stands in several splits,
    or several times in one.

    Args:
        data: images and masks.
        legend: classes of the recipe that shall train on them; None where it has none.

    Raises:
        InputError: the folder holds no such data.
    """
    found: dict[str, list[str]] = defaultdict(list)
    digests: dict[str, list[tuple[str, str]]] = defaultdict(list)
    counts: dict[str, int] = {}
    for split, samples, problems in _splits(data):
        counts[split] = len(samples)
        found["does not pair"] += [p for p in problems if p not in found["does not pair"]]
        for sample in samples:
            kind, told = look(sample, legend)
            if kind:
                found[kind].append(f"{split} {told}")
            if (digest := sample.image.digest()) is not None:
                digests[digest].append((split, sample.name))
    for copies in digests.values():
        if len(copies) > 1:
            several = len({split for split, _ in copies}) > 1
            kind = "in several splits" if several else "several times"
            found[kind].append(" = ".join(f"{split} {name}" for split, name in copies))
    return _findings(counts, found)


def look(sample: Sample, legend: Legend | None = None) -> tuple[str, str]:
    """Read a sample; return the kind of what is wrong, and what; two empty texts if nothing is."""
    try:
        item = read_item(sample)
    except InputError as error:
        return _UNREADABLE, f"{sample.name}: {error}"
    if item.masks.ndim == _MAP:
        return _look_at_map(sample.name, item.masks, legend)
    if not item.masks.any():
        return _EMPTY, sample.name
    if item.masks.any(dim=0).all():
        return _FULL, sample.name
    return "", ""


def _look_at_map(name: str, classes: Tensor, legend: Legend | None) -> tuple[str, str]:
    """Look at the class of each pixel; all of them may be of one."""
    if legend is None:
        return _FOREIGN, f"{name}: the recipe has no classes, but its mask is a map of them"
    try:
        planes = legend.planes(classes, name)
    except InputError as error:
        return _FOREIGN, f"{name}: {error}"
    return ("", "") if legend.labelled(planes).any() else (_UNLABELLED, name)


def _splits(data: Samples) -> Iterable[tuple[Split, Sequence[Sample], Sequence[str]]]:
    splits: tuple[Split, ...] = ("train", "val")
    if data.source.find(data.folder, "test").samples:
        splits = (*splits, "test")
    for split in splits:
        found = data.found(split)
        yield split, found.samples, found.problems


def _findings(counts: Mapping[str, int], found: Mapping[str, list[str]]) -> Findings:
    listed = {kind: listing for kind, listing in found.items() if listing}
    fatal = sum(len(listed.get(kind, ())) for kind in FATAL)
    findings = Findings({"images": dict(counts), **listed})
    findings["verdict"] = f"{fatal} fatal" if fatal else "fit to train on"
    findings.exit_code = InputError.exit_code if fatal else 0
    return findings
