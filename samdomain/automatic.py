"""Find everything in an image: ask all over it, and keep what the model is sure of."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import nms

from samdomain.errors import InputError
from samdomain.masks import tight_boxes
from samdomain.prompting import original_masks
from samdomain.sam import Embedding, Prediction, Prompts, SamLike, decode, encode
from samdomain.sam.encoding import Images


@dataclass(frozen=True, eq=False)
class Everything:
    """Carry the masks that were found by themselves, image by image, the surest first.

    Attributes:
        prediction: one mask each, with the model's estimate of its IoU.
        boxes: tight box (left, top, right, bottom) around each, in pixels of its image.
        stability: (N,) IoU of each mask at two thresholds around 0; 0 to 1.
    """

    prediction: Prediction
    boxes: Float[Tensor, "n 4"]
    stability: Float[Tensor, " n"]

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.prediction)


@dataclass(frozen=True)
class AutomaticMasks:
    """Ask a model over a grid, and keep masks that are sure, stable, and of different objects.

    Weights that know clicks are asked by one click a cell, three alternatives each. Those that know
    boxes alone are asked by square windows of half the image, a quarter, and so on, which overlap
    by half. Masks are judged at the resolution of the decoder's logits.

    Attributes:
        per_side: clicks along a side of the image; windows go down to the side of two cells.
        together: prompts that are decoded at a time, which decides the memory and nothing else.
        least_iou: estimated IoU that a mask needs.
        least_stability: stability that a mask needs, see `Everything`.
        offset: distance of the two thresholds from 0, in logits.
        overlap: IoU of boxes above which the surer of two masks is kept alone.
        most: masks of an image at most, the surest; all by default.

    Raises:
        InputError: a number is not above 0.

    Source: Kirillov et al., Segment Anything (2023), section 5, "automatic mask generation",
    and its official code; crops of the image are not asked here.
    """

    per_side: int = 32
    together: int = 64
    least_iou: float = 0.88
    least_stability: float = 0.95
    offset: float = 1.0
    overlap: float = 0.7
    most: int | None = None

    def __post_init__(self) -> None:
        """Refuse a grid without a cell."""
        for name in ("per_side", "together"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: give 1 or more")

    @torch.no_grad()
    def __call__(self, sam: SamLike, images: Images) -> Everything:
        """Encode images and find everything, without gradients.

        Args:
            sam: model to ask, in eval mode.
            images: see `encode`.
        """
        return self.within(sam, encode(sam, images))

    @torch.no_grad()
    def within(self, sam: SamLike, embedding: Embedding) -> Everything:
        """Find everything in images that are encoded already; see `__call__`."""
        found = [self._in_image(sam, embedding, image) for image in range(len(embedding))]
        return Everything(
            _joined([one.prediction for one in found], embedding),
            torch.cat([one.boxes for one in found]),
            torch.cat([one.stability for one in found]),
        )

    def _in_image(self, sam: SamLike, embedding: Embedding, image: int) -> Everything:
        clicks = "point" in sam.spec.prompts
        size = embedding.frame.sizes[image]
        places = _centres(self.per_side, size) if clicks else _windows(self.per_side, size)
        kept: list[tuple[Prediction, Tensor]] = []
        for part in places.split(self.together):
            prompts = _click_on(part, image) if clicks else _ask_in(part, image)
            found = decode(sam, embedding, prompts, multimask=clicks and sam.spec.alternatives)
            kept.append(self._sure(_apart(found)))
        masks = _joined([one for one, _ in kept], embedding)
        return self._different(masks, torch.cat([stable for _, stable in kept]))

    def _sure(self, masks: Prediction) -> tuple[Prediction, Tensor]:
        stable = stability(masks.low_res[:, 0], self.offset)
        seen = (masks.low_res[:, 0] > 0).flatten(1).any(dim=1)
        sure = (masks.iou[:, 0] > self.least_iou) & (stable >= self.least_stability) & seen
        return masks[sure.nonzero()[:, 0].cpu()], stable[sure]

    def _different(self, masks: Prediction, stable: Tensor) -> Everything:
        planes = [one.cpu() for one in original_masks(masks)]
        boxes = tight_boxes(torch.stack(planes)) if planes else torch.zeros(0, 4)
        # A mask may lie in the padding alone.
        there = (boxes[:, 2] > boxes[:, 0]).nonzero()[:, 0]
        scores = masks.iou[:, 0].float().cpu()
        rows = there[nms(boxes[there], scores[there], self.overlap)][: self.most]
        return Everything(masks[rows], boxes[rows], stable[rows.to(stable.device)])


def stability(logits: Float[Tensor, "n s s"], offset: float = 1.0) -> Float[Tensor, " n"]:
    """Measure how little masks depend on the threshold: |logits > offset| / |logits > -offset|.

    Masks that are empty at both have 0.

    Args:
        logits: masks.
        offset: distance of the thresholds from 0, 0 or more.

    Source: official code of Kirillov et al., Segment Anything (2023).
    """
    inner = (logits > offset).flatten(1).sum(dim=1)
    outer = (logits > -offset).flatten(1).sum(dim=1)
    return inner / outer.clamp_min(1)


def _apart(masks: Prediction) -> Prediction:
    """Return each alternative as a mask of its own."""
    alternatives = masks.low_res.shape[1]
    return replace(
        masks,
        low_res=masks.low_res.flatten(0, 1)[:, None],
        iou=masks.iou.flatten()[:, None],
        images=masks.images.repeat_interleave(alternatives),
    )


def _joined(parts: list[Prediction], embedding: Embedding) -> Prediction:
    return Prediction(
        torch.cat([one.low_res for one in parts]),
        torch.cat([one.iou for one in parts]),
        torch.cat([one.images for one in parts]),
        embedding.frame,
    )


def _click_on(places: Tensor, image: int) -> Prompts:
    labels = torch.ones(len(places), 1, dtype=torch.long)
    of = torch.full((len(places),), image)
    return Prompts(points=places[:, None], labels=labels, images=of)


def _ask_in(windows: Tensor, image: int) -> Prompts:
    return Prompts(boxes=windows, images=torch.full((len(windows),), image))


def _centres(per_side: int, size: tuple[int, int]) -> Float[Tensor, "n 2"]:
    rows, columns = size
    steps = (torch.arange(per_side) + 0.5) / per_side
    y, x = torch.meshgrid(steps * rows, steps * columns, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def _windows(per_side: int, size: tuple[int, int]) -> Float[Tensor, "n 4"]:
    """Return boxes of 1/2, 1/4, ... of the image's sides, half a box apart."""
    boxes: list[Tensor] = []
    parts = 2
    while True:
        steps = torch.arange(2 * parts - 1) / (2 * parts)
        top, left = torch.meshgrid(steps, steps, indexing="ij")
        corners = torch.stack([left, top, left + 1 / parts, top + 1 / parts], dim=-1)
        boxes.append(corners.reshape(-1, 4))
        parts *= 2
        if parts * 2 > per_side:
            break
    rows, columns = size
    return torch.cat(boxes) * torch.tensor([columns, rows, columns, rows])
