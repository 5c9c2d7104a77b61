"""Hold the prompts of a batch of images."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.sam.spec import PromptKind


@dataclass(frozen=True, eq=False)
class Prompts:
    """Carry N prompts over a batch of images; each asks for one object.

    Every prompt has the same kinds: a box, clicks, a mask, or any of these together.
    Coordinates are (x, y) in pixels of the prompt's original image, with the origin at the
    top-left corner. Any image may have any number of prompts, and any prompt any number of
    clicks. With none of the kinds it is the null prompt: see `Prompts.null`.

    Attributes:
        boxes: (N, 4) as left, top, right, bottom.
        points: clicks, (N, K, 2), or N tensors (K_n, 2) when their numbers differ.
        labels: 1 for a click on the object and 0 beside it, shaped as the points.
        masks: low-resolution logits (N, S, S), S the spec's mask size, as an earlier
            `Prediction.low_res` holds them for one of its outputs.
        images: (N,) index of the image that each prompt belongs to; the first by default.
    """

    boxes: Float[Tensor, "n 4"] | None = None
    points: Float[Tensor, "n k 2"] | Sequence[Float[Tensor, "_ 2"]] | None = None
    labels: Int[Tensor, "n k"] | Sequence[Int[Tensor, " _"]] | None = None
    masks: Float[Tensor, "n s s"] | None = None
    images: Int[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        """Refuse prompts that contradict one another."""
        given = {name: part for name, part in vars(self).items() if part is not None}
        counts = {name: len(part) for name, part in given.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise PromptError(f"prompts disagree in number ({told}): give one of each a prompt")
        if not counts:
            raise PromptError("no prompt was given: use Prompts.null(images) for the null prompt")
        if (self.points is None) != (self.labels is None):
            raise PromptError("points and labels go together: give a label (1 or 0) for each point")
        if self.points is not None and self.labels is not None:
            _check_clicks(self.points, self.labels)
        if self.boxes is not None:
            _check_boxes(self.boxes)

    @classmethod
    def null(cls, images: int) -> "Prompts":
        """Return the prompt that says nothing, once for each image."""
        return cls(images=torch.arange(images))

    def __len__(self) -> int:
        """Return the number of prompts."""
        return next(len(part) for part in vars(self).values() if part is not None)

    def __getitem__(self, prompts: Int[Tensor, " k"]) -> "Prompts":
        """Return some of the prompts, by their places; clicks of any number stay as they are."""
        rows: list[int] = prompts.tolist()

        def take(part: Tensor | Sequence[Tensor] | None) -> Any:
            if part is None or isinstance(part, Tensor):
                return None if part is None else part[rows]
            return [part[row] for row in rows]

        taken = {name: take(part) for name, part in vars(self).items()}
        return Prompts(**{**taken, "images": self.image_indices()[rows]})

    @property
    def kinds(self) -> frozenset[PromptKind]:
        """Kinds of prompt that are given; empty for the null prompt."""
        parts: dict[PromptKind, object] = {
            "box": self.boxes,
            "point": self.points,
            "mask": self.masks,
        }
        return frozenset(kind for kind, part in parts.items() if part is not None)

    def image_indices(self) -> Int[Tensor, " n"]:
        """Return the image of each prompt, the default filled in."""
        if self.images is None:
            return torch.zeros(len(self), dtype=torch.long)
        return self.images.to("cpu", torch.long)

    def groups(self) -> Iterator[tuple[Tensor, "Prompts"]]:
        """Split into sets of equal click count, each with the rows that it holds.

        Ragged prompts are grouped rather than padded: SAM's "not a point" token would take
        part in attention and change the mask.
        """
        rows = torch.arange(len(self))
        if self.points is None or isinstance(self.points, Tensor) or not len(self):
            yield rows, self
            return
        by_count: dict[int, list[int]] = defaultdict(list)
        for row, clicks in enumerate(self.points):
            by_count[len(clicks)].append(row)
        for chosen in by_count.values():
            yield rows[chosen], self._rows(chosen)

    def _rows(self, rows: list[int]) -> "Prompts":
        def take(part: Tensor | None) -> Tensor | None:
            return None if part is None else part[rows]

        def stack(part: Tensor | Sequence[Tensor] | None) -> Tensor | None:
            return None if part is None else torch.stack([part[row] for row in rows])

        return Prompts(
            boxes=take(self.boxes),
            points=stack(self.points),
            labels=stack(self.labels),
            masks=take(self.masks),
            images=self.image_indices()[rows],
        )


def _check_clicks(points: Tensor | Sequence[Tensor], labels: Tensor | Sequence[Tensor]) -> None:
    for row, (clicks, signs) in enumerate(zip(points, labels, strict=True)):
        if clicks.shape != (len(signs), 2) or signs.ndim != 1:
            raise PromptError(
                f"prompt {row} has points {tuple(clicks.shape)} and labels {tuple(signs.shape)}: "
                "points are (K, 2) as x, y and labels (K,)"
            )
        if not torch.isin(signs, signs.new_tensor([0, 1])).all():
            raise PromptError(
                f"prompt {row} has labels {signs.tolist()}: allowed are 1 (on the object) and "
                "0 (beside it)"
            )
        if not torch.isfinite(clicks).all():
            raise PromptError(f"prompt {row} has a point that is not finite: {clicks.tolist()}")


def _check_boxes(boxes: Tensor) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:  # noqa: PLR2004 - left, top, right, bottom
        raise PromptError(
            f"boxes have shape {tuple(boxes.shape)}: allowed is (N, 4) as left, top, right, bottom"
        )
    wrong = ~((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])) | ~boxes.isfinite().all(1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise PromptError(
            f"box {row} is {boxes[row].tolist()}: left must be below right, and top below bottom"
        )
