"""Make prompts from a prediction: what was found tells where to look more closely."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.masks import components, tight_boxes
from samdomain.prompting.chosen import CENTRE, central_pixel
from samdomain.sam import Frame, Prediction, Prompts

ToPrompts = Callable[[Prediction], Prompts]
"""Make prompts for the images of a prediction, as a rule one for each mask, in their order."""


def best_masks(prediction: Prediction) -> Float[Tensor, "n s s"]:
    """Return the low-resolution logits of each prompt's best mask, by the decoder's estimate."""
    best = prediction.iou.detach().argmax(dim=1)
    return prediction.low_res[torch.arange(len(prediction), device=best.device), best]


def best_alternatives(prediction: Prediction) -> Prediction:
    """Return the prediction with each prompt's best mask alone, by the decoder's estimate."""
    iou = prediction.iou.amax(dim=1, keepdim=True)
    return replace(prediction, low_res=best_masks(prediction)[:, None], iou=iou)


def found(prediction: Prediction) -> Bool[Tensor, "n s s"]:
    """Return where the best masks are, in cells of the padded input.

    A mask is where its logit is above 0. Cells that lie in the padding alone are none.
    """
    return (best_masks(prediction).detach() > 0) & _cells_of_images(prediction)


def original_masks(prediction: Prediction) -> list[Bool[Tensor, "_ _"]]:
    """Return the best mask of each prompt in pixels of its original image."""
    logits = best_masks(prediction).detach()
    return [
        prediction.frame.to_original(one[None], image)[0] > 0
        for one, image in zip(logits, prediction.images.tolist(), strict=True)
    ]


def predicted_boxes(prediction: Prediction) -> Prompts:
    """Return the box around each mask, one for all of its parts.

    It is as exact as the cells of the low-resolution logits: 4 input pixels in SAM.

    Raises:
        PromptError: a mask is empty; `self_prompt` has a policy for these.

    Source: Zhou et al., SAM-SP (arXiv 2408.12364): least and greatest coordinates.
    """
    cells = found(prediction)
    _check_found(cells)
    return _boxes(prediction, cells, prediction.images)


def predicted_object_boxes(prediction: Prediction, smallest: float = 1.0) -> Prompts:
    """Return a box around each part of each mask, so that a mask may give several prompts.

    Args:
        prediction: what was found.
        smallest: cells that a part has at least; smaller ones give no box.

    Raises:
        PromptError: a mask is empty.
    """
    cells = found(prediction)
    _check_found(cells)
    parts = [components(mask) for mask in cells]
    parts = [part[part.sum(dim=(1, 2)) >= smallest] for part in parts]
    numbers = torch.tensor([len(part) for part in parts], dtype=torch.long)
    return _boxes(prediction, torch.cat(parts), prediction.images.repeat_interleave(numbers))


def predicted_masks(prediction: Prediction, *, detach: bool = True) -> Prompts:
    """Return each mask as a mask prompt: its low-resolution logits, not a binary mask.

    Args:
        prediction: what was found.
        detach: whether gradients stop at the prompt.
    """
    logits = best_masks(prediction)
    return Prompts(masks=logits.detach() if detach else logits, images=prediction.images)


def predicted_centres(prediction: Prediction) -> Prompts:
    """Return one click on each mask, where it is farthest from its outside.

    Raises:
        PromptError: a mask is empty.
    """
    cells = found(prediction)
    _check_found(cells)
    pixels = [central_pixel(mask, torch.default_generator) for mask in cells]
    centres = torch.tensor([(column, row) for row, column in pixels], device=cells.device) + CENTRE
    return Prompts(
        points=_to_images(prediction, centres[:, None], prediction.images),
        labels=torch.ones(len(pixels), 1, dtype=torch.long, device=cells.device),
        images=prediction.images,
    )


def together(*to_prompts: ToPrompts) -> ToPrompts:
    """Return a rule that gives several kinds of prompt at once, as a box with a mask.

    Args:
        to_prompts: rules of different kinds that give one prompt for each mask.
    """

    def all_of(prediction: Prediction) -> Prompts:
        joined, *others = (rule(prediction) for rule in to_prompts)
        for prompts in others:
            given = {k: v for k, v in vars(prompts).items() if v is not None and k != "images"}
            joined = replace(joined, **given)
        return joined

    return all_of


def whole_images(prediction: Prediction) -> Prompts:
    """Return a box around the whole image for each mask; what is in the masks does not count."""
    sizes = [prediction.frame.sizes[image] for image in prediction.images.tolist()]
    boxes = torch.tensor([(0.0, 0.0, columns, rows) for rows, columns in sizes]).reshape(-1, 4)
    return Prompts(boxes=boxes.to(prediction.low_res.device), images=prediction.images)


def no_prompts(prediction: Prediction) -> Prompts:
    """Return the null prompt for each mask: the first answer is given once more."""
    return Prompts(images=prediction.images)


def image_cells(frame: Frame, image: int, size: int) -> Bool[Tensor, "s s"]:
    """Return which cells of low-resolution logits have a part of an image, and not padding alone.

    Args:
        frame: where the images lie.
        image: which of them.
        size: side of the logits, as `SamSpec.mask_size`.
    """
    cell = frame.input_size / size
    starts = torch.arange(size) * cell

    def overlap(offset: int, length: int) -> Tensor:
        return (starts + cell > offset) & (starts < offset + length)

    (top, left), (rows, columns) = frame.offset(image), frame.resized(image)
    return overlap(top, rows)[:, None] & overlap(left, columns)[None]


def _cells_of_images(prediction: Prediction) -> Tensor:
    """Return which cells have a part of the image (N, S, S)."""
    frame, size = prediction.frame, prediction.low_res.shape[-1]
    grids = [image_cells(frame, image, size) for image in prediction.images.tolist()]
    if not grids:
        return torch.zeros_like(prediction.low_res[:, 0]).bool()
    return torch.stack(grids).to(prediction.low_res.device)


def _boxes(prediction: Prediction, cells: Tensor, images: Tensor) -> Prompts:
    corners = tight_boxes(cells).reshape(-1, 2, 2)
    boxes = _to_images(prediction, corners, images).reshape(-1, 4)
    return Prompts(boxes=boxes, images=images)


def _to_images(prediction: Prediction, cells: Tensor, images: Tensor) -> Tensor:
    """Map points (N, K, 2) from cells to pixels of the original images, inside them."""
    frame = prediction.frame
    cell = frame.input_size / prediction.low_res.shape[-1]
    points = frame.from_input(cells * cell, images)
    sizes = [frame.sizes[image][::-1] for image in images.tolist()]  # as x, y
    return points.clamp_min(0).minimum(points.new_tensor(sizes).reshape(-1, 1, 2))


def _check_found(cells: Tensor) -> None:
    empty = (~cells.flatten(1).any(dim=1)).nonzero()[:, 0].tolist()
    if empty:
        raise PromptError(
            f"the masks of prompts {empty} are empty: leave them out, or use self_prompt, "
            "which takes a policy for empty masks"
        )
