"""Count what an answer about two dates gets right: pixels by class, and objects."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from samdomain.masks import components
from samdomain.metrics.overlap import check_masks


@dataclass(frozen=True)
class ChangeCounts:
    """Count pixels, or shares of them; the counts of pairs add up by `+`.

    Attributes:
        both: pixels that changed and were found.
        found: pixels that were found.
        changed: pixels that changed.
        total: all pixels.
    """

    both: int | float = 0
    found: int | float = 0
    changed: int | float = 0
    total: int | float = 0

    @classmethod
    def of(cls, found: Bool[Tensor, "*n h w"], changed: Bool[Tensor, "*n h w"]) -> "ChangeCounts":
        """Count the pixels of masks.

        Raises:
            InputError: a mask is not bool.
        """
        check_masks(found, changed)
        both = (found & changed).sum()
        return cls(int(both), int(found.sum()), int(changed.sum()), found.numel())

    def __add__(self, other: "ChangeCounts") -> "ChangeCounts":
        """Return the counts of both together."""
        return ChangeCounts(
            self.both + other.both,
            self.found + other.found,
            self.changed + other.changed,
            self.total + other.total,
        )

    def figures(self) -> dict[str, float]:
        """Return F1 and IoU of the class of changes, and their means over both classes.

        The two are different numbers: papers tell now the one and now the other by the same name
        (SAM-CD's F1 of 95.50 on LEVIR-CD is class-averaged; that of changes is 91.46). A class
        that is neither there nor found has 1.
        """
        same = self.total - self.found - self.changed + self.both
        f1, iou = _scores(self.both, self.found, self.changed)
        rest = _scores(same, self.total - self.found, self.total - self.changed)
        return {
            "change_f1": f1,
            "change_iou": iou,
            "class_averaged_f1": (f1 + rest[0]) / 2,
            "class_averaged_iou": (iou + rest[1]) / 2,
        }


@dataclass(frozen=True)
class ObjectHits:
    """Count objects that are hit, whatever their outline; those of pairs add up by `+`.

    Attributes:
        true: objects that changed.
        hit: objects that changed of which enough was found.
        found: objects that were found.
        right: objects that were found of which enough changed.
    """

    true: int = 0
    hit: int = 0
    found: int = 0
    right: int = 0

    @classmethod
    def of(
        cls, found: Bool[Tensor, "h w"], changed: Bool[Tensor, "h w"], share: float = 0.1
    ) -> "ObjectHits":
        """Count the parts of two masks that hang together.

        Args:
            found: where an answer sees a change.
            changed: where something changed.
            share: what of an object's pixels the other mask has to cover; dates that lie a pixel
                or two apart leave little of a small object where it was.
        """
        check_masks(found, changed)
        answers, truths = components(found), components(changed)
        return cls(
            len(truths),
            _covered(truths, found, share),
            len(answers),
            _covered(answers, changed, share),
        )

    def __add__(self, other: "ObjectHits") -> "ObjectHits":
        """Return the counts of both together."""
        return ObjectHits(
            self.true + other.true,
            self.hit + other.hit,
            self.found + other.found,
            self.right + other.right,
        )

    def figures(self) -> dict[str, float]:
        """Return the share of objects that were hit, and that of answers that are right."""
        return {
            "object_recall": self.hit / self.true if self.true else 1.0,
            "object_precision": self.right / self.found if self.found else 1.0,
        }


def _scores(both: int | float, one: int | float, other: int | float) -> tuple[float, float]:
    """Return Dice and IoU of two sets of these sizes."""
    if not one + other:
        return 1.0, 1.0
    return 2 * both / (one + other), both / (one + other - both)


def _covered(objects: Bool[Tensor, "n h w"], mask: Bool[Tensor, "h w"], share: float) -> int:
    inside = (objects & mask).sum((1, 2))
    return int(torch.count_nonzero((inside > 0) & (inside >= share * objects.sum((1, 2)))))
