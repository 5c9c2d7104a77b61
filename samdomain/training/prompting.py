"""Turn prompts with their images, and put those of several images together."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from samdomain.errors import InputError
from samdomain.sam import Prompts
from samdomain.views import View


def turned_prompts(prompts: Prompts, view: View, size: tuple[int, int]) -> Prompts:
    """Return where boxes and clicks lie in a view of their image.

    Args:
        prompts: prompts of one image, without masks.
        view: how the image is turned.
        size: (rows, columns) of the image before.

    Raises:
        InputError: there are mask prompts, which lie in no image.
    """
    if prompts.masks is not None:
        raise InputError("mask prompts cannot be turned with their image: give boxes or clicks")
    points = prompts.points
    if points is not None:
        several = not isinstance(points, Tensor)
        points = (
            [view.points(one, size) for one in points] if several else view.points(points, size)
        )
    boxes = None if prompts.boxes is None else view.boxes(prompts.boxes, size)
    return replace(prompts, boxes=boxes, points=points)


def joined_prompts(prompts: Sequence[Prompts | None]) -> Prompts | None:
    """Return the prompts of several images as those of a batch; None where no image has any.

    Args:
        prompts: prompts of each image of the batch, all of the same kinds.

    Raises:
        InputError: one image has boxes and another clicks.
    """
    given = [(place, one) for place, one in enumerate(prompts) if one is not None]
    if not given:
        return None
    if len({one.kinds for _, one in given if len(one)}) > 1:
        raise InputError(
            "some images of a batch have boxes and others clicks: give all the same kinds of "
            "prompt, or train with --data.batch_size 1"
        )
    given = [pair for pair in given if len(pair[1])] or given[:1]
    first = given[0][1]
    boxes = (
        None
        if first.boxes is None
        else torch.cat([one.boxes for _, one in given if one.boxes is not None])
    )
    clicks = first.points is not None
    return Prompts(
        boxes=boxes,
        points=[click for _, one in given for click in _there(one.points)] if clicks else None,
        labels=[label for _, one in given for label in _there(one.labels)] if clicks else None,
        images=torch.cat([torch.full((len(one),), place) for place, one in given]),
    )


def _there(part: Tensor | Sequence[Tensor] | None) -> "Tensor | Sequence[Tensor]":
    if part is None:
        raise TypeError("prompts of the same kinds have the same parts")
    return part
