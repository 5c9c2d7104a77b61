"""Make mask prompts: masks as the low-resolution logits that a SAM understands."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from samdomain.prompting.boxes import Masks
from samdomain.sam import Frame, Prompts
from samdomain.sam.frame import resize_image


def mask_prompts(
    masks: Masks,
    frame: Frame,
    mask_size: int,
    *,
    images: Int[Tensor, " n"] | None = None,
    logit: float = 10.0,
) -> Prompts:
    """Return masks as logits over the encoder's padded input.

    Args:
        masks: masks in pixels of their original images; empty ones are allowed.
        frame: where the images lie, as `Embedding.frame`.
        mask_size: side of the logits, as `SamSpec.mask_size`.
        images: image of each mask; the first by default.
        logit: logit of the object; the rest and the padding have its negative. A probability
            of 1 would be infinite; 10 is SAM 2's choice.
    """
    shares = low_res_masks(masks, frame, mask_size, images=images)
    return Prompts(masks=(2 * shares - 1) * logit, images=images)


def low_res_masks(
    masks: Masks, frame: Frame, mask_size: int, *, images: Int[Tensor, " n"] | None = None
) -> Float[Tensor, "n s s"]:
    """Return the share of each mask in each cell of the decoder's low-resolution logits, 0 to 1.

    It is what training compares logits with at their own resolution; padding has none of it.

    Args:
        masks: masks in pixels of their original images; empty ones are allowed.
        frame: where the images lie, as `Embedding.frame`.
        mask_size: side of the logits, as `SamSpec.mask_size`.
        images: image of each mask; the first by default.
    """
    owners = [0] * len(masks) if images is None else images.tolist()
    squares = [
        _place(mask, frame, image, mask_size) for mask, image in zip(masks, owners, strict=True)
    ]
    return torch.stack(squares) if squares else torch.zeros(0, mask_size, mask_size)


def _place(mask: Tensor, frame: Frame, image: int, mask_size: int) -> Tensor:
    """Return the share of the object in each cell of the square."""
    resized = resize_image(mask[None].float(), frame.resized(image))
    square = frame.pad(resized, image)[None]
    cells = F.interpolate(square, (mask_size, mask_size), mode="bilinear", antialias=True)
    return cells[0, 0].clamp(0, 1)
