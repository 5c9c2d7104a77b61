"""Follow an object through the slices of a volume: each answer prompts the next slice."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from samdomain.errors import InputError
from samdomain.prompting import best_masks, mask_prompts
from samdomain.sam import Embedding, Frame, Prompts, SamLike, decode, encode
from samdomain_med.intensities import PICTURE_RANGE
from samdomain_med.slices import Slicing, Volume, in_batches
from samdomain_med.volume_prompts import Plan, Rectangle, VolumePrompt, rectangle

_MARGIN = 1  # voxels by which an object of one slice may be larger in the next

HALF = 0.5
"""Probability above which a voxel belongs to the object."""


@dataclass(frozen=True)
class Following:
    """Say how an object is followed from slice to slice.

    Attributes:
        context: side of the square that is shown of each slice, as a multiple of the longer side
            of the object's bounds. An object of a few voxels fills the network's input so; what
            is beyond the volume is not shown.
        margin: voxels by which the box around one slice's answer is widened for the next. By
            default each slice of a `VolumeBox` is asked by the whole of it: on a spinal cord
            that was as good from a tight box, and far better from a rough one, where answers
            drift. An object of the other prompts is followed with a margin of 1.
        batch: slices encoded at once; it changes memory and speed alone.

    Raises:
        InputError: a number is out of its range.
    """

    context: float = 3.0
    margin: int | None = None
    batch: int = 8

    def __post_init__(self) -> None:
        """Refuse what cannot be followed."""
        if self.context < 1 or (self.margin or 0) < 0 or self.batch < 1:
            raise InputError(
                f"{self} was asked for: allowed are a context of 1 or more, a margin of 0 or "
                "more, and a batch of 1 or more"
            )


@dataclass(frozen=True, eq=False)
class Followed:
    """Tell where an object is.

    Attributes:
        probability: of each voxel (X, Y, Z), 0 to 1; 0 outside the prompt's bounds.
        scores: the decoder's own estimate of the IoU in each slice (S,); NaN in slices that
            were not asked, and where the user's mask is the answer.
    """

    probability: Float[Tensor, "x y z"]
    scores: Float[Tensor, " s"]

    @property
    def mask(self) -> Bool[Tensor, "x y z"]:
        """Where the object is."""
        return self.probability > HALF


@torch.no_grad()
def propagate(
    sam: SamLike,
    volume: Volume,
    prompt: VolumePrompt,
    slicing: Slicing,
    following: Following = Following(),
) -> Followed:
    """Segment one object of a volume from one prompt, in both directions from a start slice.

    Each slice is prompted by the box around the answer of the slice before, widened by a margin
    and cut to the prompt's bounds, and by its logits where the weights take mask prompts; see
    `Following` for a `VolumeBox`. Where an answer is empty, the following slice is asked by the
    whole bounds under a `VolumeBox`; under other prompts the object has ended. Each slice is
    encoded once.

    Args:
        sam: model to ask.
        volume: voxels 0 to 255, stretched once for all of it; see `samdomain_med.intensities`.
        prompt: `VolumeBox`, `SliceBox` or `SliceMask`.
        slicing: how the volume is sliced.
        following: how the object is followed.

    Raises:
        InputError: the volume is none, or has another number of channels than the model.
        PromptError: the prompt lies outside the volume.

    Source: the walk from the middle slice, each mask's box as the next prompt, is that of
    LiteMedSAM's own inference on volumes (Ma et al., 2024).
    """
    slices = slicing.stack(volume)
    x, y, z = volume.shape[-3:]
    plan = prompt.plan((x, y, z), slicing.axis)
    walk = _Walk(sam, slices, plan, slicing, following)
    probability = torch.zeros(len(slices), *slices.shape[2:])
    scores = torch.full((len(slices),), torch.nan)
    for index, seen in walk.answers():
        top, left, bottom, right = walk.window
        probability[index, top:bottom, left:right] = seen.probability.cpu()
        scores[index] = seen.score
    probability *= _filled(plan.bounds, (slices.shape[2], slices.shape[3]))
    return Followed(slicing.unstack(probability).to(volume.device), scores)


def label_objects(probabilities: Float[Tensor, "n x y z"]) -> Int[Tensor, "x y z"]:
    """Number the voxels of N objects that were followed one by one, from 1 on in their order.

    Where they overlap the likeliest has the voxel, so that an object's number is the same in every
    slice; 0 is where none is above one half.

    Args:
        probabilities: those of one or more `Followed`, stacked.
    """
    likeliest, objects = probabilities.max(dim=0)
    return torch.where(likeliest > HALF, objects + 1, 0)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was found on a slice, in pixels of the window."""

    probability: Float[Tensor, "h w"]
    low_res: Float[Tensor, "s s"]
    score: float


class _Walk:
    """Walk through the slices of a plan."""

    def __init__(
        self,
        sam: SamLike,
        slices: Num[Tensor, "s c h w"],
        plan: Plan,
        slicing: Slicing,
        following: Following,
    ) -> None:
        self._sam, self._plan, self._slicing, self._following = sam, plan, slicing, following
        self.window = _window(plan.bounds, following.context, (slices.shape[2], slices.shape[3]))
        top, left, bottom, right = self.window
        self._slices = slices[:, :, top:bottom, left:right]
        self._corner = torch.tensor([top, left])
        self._bounds = plan.bounds - self._corner
        self._inside = _filled(self._bounds, (bottom - top, right - left))

    def answers(self) -> Iterator[tuple[int, _Seen]]:
        """Yield slices with what was found on them, from the start to either end."""
        plan = self._plan
        first = self._first()
        yield plan.start, first
        for ahead in (range(plan.start + 1, plan.slices.stop), _down(plan)):
            yield from self._follow(ahead, first)

    def _first(self) -> _Seen:
        if self._plan.mask is not None:
            return self._given(self._plan.mask)
        _, embedding = next(self._encoded([self._plan.start]))
        return self._ask(embedding, _prompt_box(self._plan.box - self._corner), None)

    def _follow(self, ahead: Sequence[int], previous: _Seen) -> Iterator[tuple[int, _Seen]]:
        for index, embedding in self._encoded(ahead):
            found = (previous.probability.cpu() > HALF) & self._inside
            if found.any():
                box = self._widened(rectangle(found))
                previous = self._ask(embedding, _prompt_box(box), previous.low_res)
            elif self._plan.insists:
                previous = self._ask(embedding, _prompt_box(self._bounds), None)
            else:
                return
            yield index, previous

    def _encoded(self, indices: Sequence[int]) -> Iterator[tuple[int, Embedding]]:
        for some in in_batches(indices, self._following.batch):
            images = self._slicing.images(self._slices, some)
            embedding = encode(self._sam, images, PICTURE_RANGE)
            yield from ((index, embedding[row]) for row, index in enumerate(some))

    def _widened(self, box: Rectangle) -> Rectangle:
        margin = self._following.margin
        if margin is None and self._plan.insists:
            return self._bounds
        margin = _MARGIN if margin is None else margin
        near = (box[0] - margin).maximum(self._bounds[0])
        return torch.stack([near, (box[1] + margin).minimum(self._bounds[1])])

    def _ask(self, embedding: Embedding, box: Tensor, low_res: Tensor | None) -> _Seen:
        if "mask" not in self._sam.spec.prompts:
            low_res = None
        masks = None if low_res is None else low_res[None]
        prediction = decode(self._sam, embedding, Prompts(boxes=box, masks=masks))
        logits, score = prediction.logits[0, 0], float(prediction.iou[0, 0])
        return _Seen(logits.sigmoid(), best_masks(prediction)[0], score)

    def _given(self, mask: Tensor) -> _Seen:
        top, left, bottom, right = self.window
        shown, spec = mask[top:bottom, left:right], self._sam.spec
        frame = Frame(((shown.shape[0], shown.shape[1]),), spec.input_size, spec.padding)
        logits = mask_prompts([shown], frame, spec.mask_size).masks
        if logits is None:
            raise TypeError("mask_prompts gave no masks")
        return _Seen(shown.float(), logits[0], torch.nan)


def _window(bounds: Rectangle, context: float, sides: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the square around bounds as top, left, bottom, right, inside a slice."""
    near, far = bounds
    side = math.ceil(context * int((far - near).max()))
    first = torch.div(near + far - side, 2, rounding_mode="floor")
    # A square that looks over an edge is moved rather than cut: it shows as much beside.
    first = first.minimum(torch.tensor(sides) - side).clamp_min(0)
    last = (first + side).minimum(torch.tensor(sides))
    (top, left), (bottom, right) = first.tolist(), last.tolist()
    return top, left, bottom, right


def _filled(box: Rectangle, sides: tuple[int, int]) -> Bool[Tensor, "h w"]:
    (top, left), (bottom, right) = box.tolist()
    filled = torch.zeros(sides, dtype=torch.bool)
    filled[top:bottom, left:right] = True
    return filled


def _prompt_box(box: Rectangle) -> Float[Tensor, "1 4"]:
    """Return corners (row, column) as left, top, right, bottom."""
    return box.flip(1).reshape(1, 4).float()


def _down(plan: Plan) -> range:
    return range(plan.start - 1, plan.slices.start - 1, -1)
