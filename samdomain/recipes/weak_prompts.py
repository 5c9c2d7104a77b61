"""Ask for objects as somebody does who has little time: by boxes, clicks or coarse outlines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from samdomain.errors import InputError
from samdomain.prompting import (
    boxes_around,
    clicks_on,
    coarse_masks,
    mask_prompts,
    rough_boxes_around,
)
from samdomain.recipes.batch import Batch
from samdomain.recipes.objects import Chosen, choose_objects
from samdomain.recipes.values import Values
from samdomain.sam import Frame, Prompts, SamSpec

Kind = Literal["box", "points", "polygon", "none"]


@dataclass(frozen=True, eq=False)
class Asked:
    """Carry what is asked for.

    Attributes:
        prompts: one prompt an object.
        masks: true mask of each, in pixels of its image; None where nobody knows.
    """

    prompts: Prompts
    masks: Sequence[Bool[Tensor, "_ _"]] | None = None


@dataclass(frozen=True)
class WeakPrompts(Values):
    """Make prompts of one kind for the objects of a batch.

    A batch that brings prompts of its own is asked by those, whatever their kind: clicks and boxes
    of a person serve as they are.

    Attributes:
        kind: "box" around an object; "points", some on it and some beside it; "polygon", a coarse
            outline; "none", boxes around what the source finds by itself, which needs no labels
            at all.
        polygon_as: how an outline is asked for: as the "mask" that it is, or by the "box" around
            it, as the official code does.
        most: objects of an image at most, chosen by chance.
        jitter: share of the width or height by which a side of a box moves, as one standard
            deviation.
        inside: clicks on each object.
        outside: clicks beside each object.
        tolerance: how far a coarse outline may be off, as a share of its length.

    Raises:
        InputError: there is no such kind.

    Source: Zhang et al. (arXiv 2312.03502), section 3.
    """

    kind: Kind = "box"
    polygon_as: Literal["mask", "box"] = "mask"
    most: int = 4
    jitter: float = 0.0
    inside: int = 5
    outside: int = 5
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a kind of prompt that there is not."""
        if self.kind not in _MAKERS:
            raise InputError(f"prompts of kind {self.kind!r}: allowed are {', '.join(_MAKERS)}")
        if self.polygon_as not in {"mask", "box"}:
            raise InputError(f"polygon_as is {self.polygon_as!r}: allowed are mask and box")

    def __call__(self, batch: Batch, spec: SamSpec, generator: torch.Generator) -> Asked:
        """Return prompts for objects of each image, and their masks where they are known.

        Args:
            batch: images with masks, or with prompts of their own.
            spec: what the model expects.
            generator: source of chance, on the CPU.
        """
        if batch.prompts is not None:
            return Asked(chosen_prompts(batch.prompts, self.most, generator))
        chosen = choose_objects(batch.objects(), self.most, generator)
        if not chosen.masks:
            return Asked(Prompts(boxes=torch.zeros(0, 4), images=chosen.images), [])
        frame = frame_of(batch, spec)
        prompts = _MAKERS[self.kind](self, chosen, _Square(frame, spec.mask_size), generator)
        return Asked(prompts, chosen.masks)


def chosen_prompts(prompts: Prompts, most: int, generator: torch.Generator) -> Prompts:
    """Choose prompts of each image by chance, up to so many.

    Args:
        prompts: any prompts.
        most: prompts of an image at most.
        generator: source of chance, on the CPU.
    """
    images = prompts.image_indices()
    rows: list[Tensor] = []
    for image in images.unique():
        own = (images == image).nonzero()[:, 0]
        rows.append(own[torch.randperm(len(own), generator=generator)[:most]])
    return prompts[torch.cat(rows)] if rows else prompts


def frame_of(batch: Batch, spec: SamSpec) -> Frame:
    """Return where the images of a batch will lie in the encoder's input."""
    sizes = tuple((image.shape[1], image.shape[2]) for image in batch.images)
    return Frame(sizes, spec.input_size, spec.padding)


@dataclass(frozen=True)
class _Square:
    frame: Frame
    mask_size: int


_Make = Callable[[WeakPrompts, Chosen, _Square, torch.Generator], Prompts]


def _boxes(
    asking: WeakPrompts, chosen: Chosen, _square: _Square, generator: torch.Generator
) -> Prompts:
    share = asking.jitter
    return rough_boxes_around(chosen.masks, generator, images=chosen.images, share=share)


def _clicks(
    asking: WeakPrompts, chosen: Chosen, _square: _Square, generator: torch.Generator
) -> Prompts:
    inside, outside = asking.inside, asking.outside
    return clicks_on(chosen.masks, generator, images=chosen.images, inside=inside, outside=outside)


def _outlines(
    asking: WeakPrompts, chosen: Chosen, square: _Square, _generator: torch.Generator
) -> Prompts:
    coarse = coarse_masks(chosen.masks, asking.tolerance)
    if asking.polygon_as == "box":
        return boxes_around(coarse, chosen.images)
    return mask_prompts(coarse, square.frame, square.mask_size, images=chosen.images)


_MAKERS: Mapping[Kind, _Make] = {
    "box": _boxes,
    "points": _clicks,
    "polygon": _outlines,
    # Where masks are known, an IoU is measured at their boxes.
    "none": _boxes,
}
