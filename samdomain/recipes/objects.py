"""Choose true objects to ask for, take answers apart into objects, and join them again."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from samdomain.prompting import best_masks, found, predicted_object_boxes
from samdomain.sam import Prediction, Prompts


@dataclass(frozen=True, eq=False)
class Chosen:
    """Carry true objects, and the image of each.

    Attributes:
        masks: one mask (H, W) each, in pixels of its image.
        images: (N,) index of the image of each.
    """

    masks: list[Bool[Tensor, "_ _"]]
    images: Int[Tensor, " n"]


def choose_objects(
    objects: Sequence[Bool[Tensor, "_ _ _"]], most: int, generator: torch.Generator
) -> Chosen:
    """Choose objects of each image by chance, up to so many.

    Args:
        objects: true objects of each image, as `Batch.objects` has them.
        most: objects of an image at most.
        generator: source of chance, on the CPU.
    """
    orders = [torch.randperm(len(planes), generator=generator)[:most] for planes in objects]
    masks = [planes[i] for planes, order in zip(objects, orders, strict=True) for i in order]
    images = torch.arange(len(orders)).repeat_interleave(torch.tensor([len(o) for o in orders]))
    return Chosen(masks, images)


def ask_for_objects(answer: Prediction, most: int, smallest: float = 1.0) -> Prompts | None:
    """Ask with a box around each part of what was found; None where there is nothing to ask.

    Args:
        answer: one answer an image.
        most: parts of an image at most, those with the largest boxes: an untrained model's
            answer is noise of thousands of parts.
        smallest: cells of the answer that a part has at least.
    """
    seen = found(answer).flatten(1).any(dim=1).nonzero()[:, 0].cpu()
    if not len(seen):
        return None
    asked = _largest(predicted_object_boxes(answer[seen], smallest), most)
    return asked if len(asked) else None


def _largest(asked: Prompts, most: int) -> Prompts:
    if asked.boxes is None or not len(asked):
        return asked
    images = asked.image_indices()
    areas = (asked.boxes[:, 2:] - asked.boxes[:, :2]).prod(dim=1).cpu()
    kept: list[Tensor] = []
    for image in images.unique():
        own = (images == image).nonzero()[:, 0]
        kept.append(own[areas[own].argsort(descending=True, stable=True)[:most]].sort().values)
    rows = torch.cat(kept)
    return Prompts(boxes=asked.boxes[rows.to(asked.boxes.device)], images=images[rows])


def united(objects: Prediction, before: Prediction) -> Prediction:
    """Return one answer an image: where any of its objects is.

    Args:
        objects: answers to any number of prompts an image.
        before: one answer an image, kept for images without prompts.
    """
    masks, scores = best_masks(objects), objects.iou.amax(dim=1)
    rows = [(objects.images == image).nonzero()[:, 0] for image in before.images.tolist()]
    low_res = [
        masks[own.to(masks.device)].amax(dim=0) if len(own) else before.low_res[i, 0]
        for i, own in enumerate(rows)
    ]
    iou = [
        scores[own.to(scores.device)].mean() if len(own) else before.iou[i, 0]
        for i, own in enumerate(rows)
    ]
    return Prediction(
        torch.stack(low_res)[:, None], torch.stack(iou)[:, None], before.images, before.frame
    )


def meant(boxes: Prompts, objects: Sequence[Bool[Tensor, "_ _ _"]]) -> list[Bool[Tensor, "_ _"]]:
    """Return what each box should answer: true objects that it holds most of, or lies mostly in.

    So a box around a part of an object asks for all of it. The mask of a box that means no object
    is empty.

    Args:
        boxes: prompts with boxes.
        objects: true objects of each image.
    """
    if boxes.boxes is None:
        raise TypeError("meant() needs boxes")
    masks: list[Tensor] = []
    for box, image in zip(boxes.boxes.tolist(), boxes.image_indices().tolist(), strict=True):
        planes = objects[image]
        left, top, right, bottom = (round(end) for end in box)
        seen = planes[:, top:bottom, left:right].flatten(1)
        smaller = planes.flatten(1).sum(dim=1).clamp_max(seen.shape[1])
        most = seen.sum(dim=1) * 2 > smaller
        masks.append(planes[most].any(dim=0))
    return masks
