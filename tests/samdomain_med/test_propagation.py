from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from samdomain.errors import InputError, PromptError
from samdomain.sam import Sam, SamLike, SamSpec
from samdomain.sam.spec import PROMPT_KINDS, PromptKind
from samdomain_med.propagation import Following, label_objects, propagate
from samdomain_med.slices import REPEATED, Slicing
from samdomain_med.volume_prompts import SliceBox, SliceMask, VolumeBox, VolumePrompt

SIDE = 32  # of its input in pixels; images of this size pass unchanged


class BrightSam(SamLike):
    """By hand: answers 1 where a pixel inside the box is above 127.5, whatever mask it is told."""

    def __init__(self, prompts: frozenset[PromptKind] = PROMPT_KINDS) -> None:
        black, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        spec = SamSpec("bright", SIDE, 1, SIDE, pixel_mean=black, pixel_std=one)
        self.spec = replace(spec, prompts=prompts)
        self.image_encoder = self.encode
        self.prompt_encoder = Listener()
        self.mask_decoder = self.decode
        self.encoded = 0

    def encode(self, pixels: Tensor, /) -> tuple[Tensor, Mapping[int, Tensor]]:
        self.encoded += len(pixels)
        return pixels[:, 1:2], {1: pixels}

    def decode(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        centres = torch.arange(SIDE) + 0.5
        (left, top), (right, bottom) = sparse_prompt_embeddings[0].round().tolist()
        rows, columns = (centres > top) & (centres < bottom), (centres > left) & (centres < right)
        inside = rows[:, None] & columns
        logits = torch.where(inside, image_embeddings - 127.5, -100.0)
        return logits, torch.full((1, 1), 0.9)


class Listener:
    """Hands boxes on, and remembers them and whether a mask came with each."""

    def __init__(self) -> None:
        self.boxes: list[list[float]] = []
        self.with_mask: list[bool] = []

    def __call__(
        self, *, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert boxes is not None
        self.boxes += boxes.tolist()
        self.with_mask.append(masks is not None)
        return boxes.reshape(-1, 2, 2), torch.zeros(len(boxes), 2, SIDE, SIDE)

    def get_dense_pe(self) -> Tensor:
        return torch.zeros(1, 2, SIDE, SIDE)


WHOLE = Following(context=100)  # so that slices reach the stub as they are
MIDDLE, RADII = (15.5, 15.5, 15.5), (11.0, 8.0, 6.0)


def ellipsoid() -> Tensor:
    axes = torch.meshgrid(*(torch.arange(SIDE) for _ in range(3)), indexing="ij")
    shares = [((a - m) / r) ** 2 for a, m, r in zip(axes, MIDDLE, RADII, strict=True)]
    return sum(shares, torch.zeros(())) <= 1


def around(mask: Tensor) -> Tensor:
    voxels = mask.nonzero()
    return torch.stack([voxels.amin(0), voxels.amax(0) + 1])


def prompts(mask: Tensor, axis: int) -> list[VolumePrompt]:
    middle = mask.select(axis, 16)
    return [VolumeBox(around(mask)), SliceBox(16, around(middle)), SliceMask(16, middle)]


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("axis", range(3))
def test_a_bright_ellipsoid_is_found_from_end_to_end(axis: int, kind: int) -> None:
    """Along every axis, by every kind of prompt, no voxel more or less."""
    true = ellipsoid()
    prompt = prompts(true, axis)[kind]
    following = replace(WHOLE, margin=2)
    found = propagate(BrightSam(), true * 255, prompt, Slicing(axis), following)
    assert torch.equal(found.mask, true)


def test_scores_tell_which_slices_were_asked() -> None:
    """A box's slices have the decoder's estimate, the others none."""
    true = ellipsoid()
    found = propagate(BrightSam(), true * 255, VolumeBox(around(true)), Slicing(2), WHOLE)
    first, last = around(true)[:, 2].tolist()
    assert found.scores.isfinite().nonzero().flatten().tolist() == list(range(first, last))


def test_a_given_mask_is_the_answer_of_its_slice() -> None:
    """The model is not asked about it, and has no score there."""
    true = ellipsoid()
    drawn = true[:, :, 16].clone()
    drawn[4] = True
    found = propagate(BrightSam(), true * 255, SliceMask(16, drawn), Slicing(2), WHOLE)
    assert torch.equal(found.mask[:, :, 16], drawn)
    assert found.scores[16].isnan()


def two_blobs() -> Tensor:
    """Two cubes one behind the other along Z, with three empty slices between them."""
    volume = torch.zeros(SIDE, SIDE, SIDE)
    volume[10:20, 10:20, 4:12] = 255
    volume[10:20, 10:20, 15:24] = 255
    return volume


def test_an_object_ends_where_its_mask_vanishes() -> None:
    """A box on one slice finds one of two objects, a box around both finds both."""
    volume = two_blobs()
    corners = torch.tensor([[9, 9], [21, 21]])
    found = propagate(BrightSam(), volume, SliceBox(7, corners), Slicing(2), WHOLE)
    assert found.mask.sum() == 10 * 10 * 8
    both = VolumeBox(torch.tensor([[9, 9, 4], [21, 21, 24]]))
    found = propagate(BrightSam(), volume, both, Slicing(2), WHOLE)
    assert torch.equal(found.mask, volume > 0)


def test_objects_keep_their_numbers() -> None:
    """The likeliest object has a voxel; where none is above one half there is none."""
    front, back = torch.tensor([0.9, 0.6, 0.5, 0.1]), torch.tensor([0.2, 0.7, 0.5, 0.8])
    labels = label_objects(torch.stack([front, back])[:, None, None])
    assert labels.flatten().tolist() == [1, 2, 0, 2]


def test_nothing_outside_the_box_is_found() -> None:
    """A bright neighbour is cut off at the box's sides."""
    volume = torch.full((SIDE, SIDE, SIDE), 255.0)
    box = VolumeBox(torch.tensor([[3, 5, 7], [20, 19, 18]]))
    found = propagate(BrightSam(), volume, box, Slicing(1), Following(context=1.5))
    assert found.mask[3:20, 5:19, 7:18].all()
    assert found.mask.sum() == 17 * 14 * 11


def test_boxes_follow_the_object_within_a_margin() -> None:
    """The middle slice has the whole box, the next the last answer's, a voxel wider."""
    sam, volume = BrightSam(), torch.zeros(SIDE, SIDE, SIDE)
    volume[10:20, 12:18, 4:7] = 255  # rows, columns
    box = VolumeBox(torch.tensor([[5, 5, 4], [25, 25, 7]]))
    propagate(sam, volume, box, Slicing(2), replace(WHOLE, margin=1))
    assert sam.prompt_encoder.boxes == [[5, 5, 25, 25], [11, 9, 19, 21], [11, 9, 19, 21]]


def test_each_slice_of_a_box_is_asked_by_all_of_it() -> None:
    """Answers drift where the box is rough, so by default none narrows the next."""
    sam, volume = BrightSam(), torch.zeros(SIDE, SIDE, SIDE)
    volume[10:20, 12:18, 4:7] = 255
    box = VolumeBox(torch.tensor([[5, 5, 4], [25, 25, 7]]))
    propagate(sam, volume, box, Slicing(2), WHOLE)
    assert sam.prompt_encoder.boxes == [[5, 5, 25, 25]] * 3


@pytest.mark.parametrize("kinds", [PROMPT_KINDS, frozenset({"box"})])
def test_masks_prompt_weights_that_take_them(kinds: frozenset[PromptKind]) -> None:
    """Each slice but the first is told the last one's logits, where they are understood."""
    sam, true = BrightSam(kinds), ellipsoid()
    propagate(sam, true * 255, VolumeBox(around(true)), Slicing(2), WHOLE)
    first, *others = sam.prompt_encoder.with_mask
    assert not first
    assert set(others) == {"mask" in kinds}


def test_each_slice_is_encoded_once() -> None:
    """A box of 12 slices costs 12 encodings."""
    sam, box = BrightSam(), VolumeBox(torch.tensor([[5, 5, 4], [25, 25, 16]]))
    propagate(sam, two_blobs(), box, Slicing(2), WHOLE)
    assert sam.encoded == 12


def test_an_empty_volume_has_an_empty_mask() -> None:
    """Every slice of a box is asked, and none answers."""
    sam, box = BrightSam(), VolumeBox(torch.tensor([[5, 5, 4], [25, 25, 16]]))
    found = propagate(sam, torch.zeros(SIDE, SIDE, SIDE), box, Slicing(2), WHOLE)
    assert not found.mask.any()
    assert found.scores.isfinite().sum() == 12


def test_a_volume_may_have_one_slice() -> None:
    """There is nowhere to go from it."""
    volume = torch.zeros(SIDE, 1, SIDE)
    volume[8:20, :, 9:21] = 255
    box = VolumeBox(torch.tensor([[7, 0, 7], [22, 1, 22]]))
    found = propagate(BrightSam(), volume, box, Slicing(1), WHOLE)
    assert torch.equal(found.mask, volume > 0)


def test_the_batch_changes_nothing(tiny: Sam) -> None:
    """Slices encoded one by one give what all at once give."""
    volume, box = torch.rand(20, 18, 9) * 255, VolumeBox(torch.tensor([[4, 5, 1], [15, 14, 9]]))
    one, all_ = (
        propagate(tiny, volume, box, Slicing(2), Following(batch=batch)) for batch in (1, 16)
    )
    torch.testing.assert_close(one.probability, all_.probability, atol=1e-4, rtol=0)
    torch.testing.assert_close(one.scores, all_.scores, atol=1e-4, rtol=0, equal_nan=True)


@pytest.mark.parametrize("axis", [0, 1])
def test_axes_are_alike(tiny: Sam, axis: int) -> None:
    """A volume whose axes were moved is found moved, if it is sliced along the same tissue."""
    volume, corners = torch.rand(20, 18, 9) * 255, torch.tensor([[4, 5, 1], [15, 14, 9]])
    found = propagate(tiny, volume, VolumeBox(corners), Slicing(2, REPEATED))
    order = torch.arange(3).tolist()
    order.insert(axis, order.pop(2))
    moved = propagate(
        tiny, volume.permute(order), VolumeBox(corners[:, order]), Slicing(axis, REPEATED)
    )
    torch.testing.assert_close(moved.probability, found.probability.permute(order))


@pytest.mark.parametrize(
    "prompt",
    [
        VolumeBox(torch.tensor([[0, 0, 0], [5, 5, 10]])),
        VolumeBox(torch.tensor([[-1, 0, 0], [5, 5, 5]])),
        VolumeBox(torch.tensor([[5, 0, 0], [5, 5, 5]])),
        SliceBox(9, torch.tensor([[0, 0], [5, 5]])),
        SliceBox(0, torch.tensor([[0, 0], [5, 9]])),
        SliceMask(-1, torch.ones(6, 8, dtype=torch.bool)),
        SliceMask(0, torch.ones(8, 6, dtype=torch.bool)),
        SliceMask(0, torch.zeros(6, 8, dtype=torch.bool)),
    ],
)
def test_prompts_outside_the_volume_are_refused(prompt: VolumePrompt) -> None:
    """The message says what was given and what the volume is."""
    with pytest.raises(PromptError, match=r"give|count"):
        propagate(BrightSam(), torch.zeros(6, 8, 9), prompt, Slicing(2))


@pytest.mark.parametrize("wrong", [{"context": 0.5}, {"margin": -1}, {"batch": 0}])
def test_a_walk_has_limits(wrong: dict[str, int]) -> None:
    """Numbers that cannot be followed are refused before any work."""
    with pytest.raises(InputError, match="context of 1 or more"):
        Following(**wrong)
