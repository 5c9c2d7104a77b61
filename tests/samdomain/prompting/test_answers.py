from dataclasses import replace

import pytest
import torch

from samdomain.errors import PromptError
from samdomain.prompting import (
    best_alternatives,
    best_masks,
    found,
    no_prompts,
    original_masks,
    predicted_boxes,
    predicted_centres,
    predicted_masks,
    predicted_object_boxes,
    together,
    whole_images,
)
from samdomain.sam import Frame, Prediction

# Cells of 4 input pixels; the first image fills half of the square, the second all of it.
FRAME = Frame(((32, 64), (128, 128)), input_size=64)


def prediction(*cells: tuple[slice, slice], images: tuple[int, ...] = (0,)) -> Prediction:
    """One prompt an image, each with the given rows and columns of cells."""
    low_res = torch.full((len(images), 1, 16, 16), -1.0)
    for mask, (rows, columns) in zip(low_res[:, 0], cells, strict=True):
        mask[rows, columns] = 1
    return Prediction(low_res, torch.ones(len(images), 1), torch.tensor(images), FRAME)


def test_boxes_are_in_pixels_of_the_image() -> None:
    """Cells 2 to 4 are pixels 8 to 20 of a full-size image, 16 to 40 of one twice as large."""
    cells = (slice(1, 3), slice(2, 5))
    boxes = predicted_boxes(prediction(cells, cells, images=(0, 1))).boxes
    assert boxes is not None
    assert boxes.tolist() == [[8, 4, 20, 12], [16, 8, 40, 24]]


def test_padding_is_not_found() -> None:
    """A mask that reaches into the padding ends with the image."""
    answer = prediction((slice(6, 16), slice(2, 5)))
    assert found(answer).sum() == 2 * 3
    boxes = predicted_boxes(answer).boxes
    assert boxes is not None
    assert boxes.tolist() == [[8, 24, 20, 32]]
    assert not found(prediction((slice(8, 16), slice(0, 16)))).any()


def test_empty_masks_are_refused() -> None:
    """The error names the prompt and where the policy is."""
    with pytest.raises(PromptError, match=r"\[1\].*self_prompt"):
        predicted_boxes(prediction((slice(1, 2), slice(1, 2)), (slice(0), slice(0)), images=(0, 0)))


def test_the_best_mask_is_taken() -> None:
    """Of three alternatives, the one with the highest estimate."""
    low_res = torch.arange(3.0)[None, :, None, None].expand(1, 3, 16, 16)
    answer = Prediction(low_res, torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([0]), FRAME)
    assert (best_masks(answer) == 1).all()


def test_parts_have_boxes_of_their_own() -> None:
    """Two parts of one mask are two prompts for its image."""
    answer = prediction((slice(0, 2), slice(0, 2)), (slice(1, 2), slice(1, 2)), images=(1, 0))
    answer.low_res[0, 0, 10, 10] = 1
    prompts = predicted_object_boxes(answer)
    assert prompts.boxes is not None
    assert prompts.image_indices().tolist() == [1, 1, 0]
    assert prompts.boxes.tolist() == [[0, 0, 16, 16], [80, 80, 88, 88], [4, 4, 8, 8]]


def test_masks_are_handed_on_as_logits() -> None:
    """Not as 0 and 1; gradients stop unless asked for."""
    answer = prediction((slice(1, 3), slice(2, 5)))
    answer = replace(answer, low_res=(3 * answer.low_res).requires_grad_())
    masks = predicted_masks(answer).masks
    assert masks is not None
    assert torch.equal(masks, answer.low_res[:, 0])
    assert not masks.requires_grad
    attached = predicted_masks(answer, detach=False).masks
    assert attached is not None
    assert attached.requires_grad


def test_centres_are_in_the_middle_of_cells() -> None:
    """The centre of 3 x 3 cells from cell 2 is 3.5 cells, 14 pixels."""
    prompts = predicted_centres(prediction((slice(2, 5), slice(2, 5))))
    assert isinstance(prompts.points, torch.Tensor)
    assert prompts.points.tolist() == [[[14, 14]]]


def test_rules_go_together() -> None:
    """A box and a mask make one prompt of both kinds."""
    answer = prediction((slice(1, 3), slice(2, 5)), images=(1,))
    prompts = together(predicted_boxes, predicted_masks)(answer)
    assert prompts.kinds == {"box", "mask"}
    assert prompts.image_indices().tolist() == [1]


def test_policies_for_empty_masks() -> None:
    """The whole image, or nothing, for each mask."""
    answer = prediction((slice(0), slice(0)), (slice(0), slice(0)), images=(1, 0))
    boxes = whole_images(answer).boxes
    assert boxes is not None
    assert boxes.tolist() == [[0, 0, 128, 128], [0, 0, 64, 32]]
    assert no_prompts(answer).kinds == frozenset()
    assert no_prompts(answer).image_indices().tolist() == [1, 0]


def test_original_masks_have_the_size_of_their_images() -> None:
    """Each mask is cut from the padding and resized."""
    cells = (slice(0, 8), slice(0, 16))
    small, large = original_masks(prediction(cells, cells, images=(0, 1)))
    assert small.shape == (32, 64)
    assert large.shape == (128, 128)
    assert small[:28].all()  # the last cell fades into the padding
    assert large[:60].all()
    assert not large[68:].any()


def test_the_best_alternative_is_the_one_with_the_highest_estimate() -> None:
    """One mask a prompt is left, with its estimate."""
    one = prediction((slice(1, 3), slice(2, 5)))
    low_res = one.low_res * torch.tensor([1.0, 2, 3]).reshape(1, 3, 1, 1)
    three = replace(one, low_res=low_res, iou=torch.tensor([[0.2, 0.9, 0.5]]))
    best = best_alternatives(three)
    assert torch.equal(best.low_res, 2 * one.low_res)
    assert best.iou.tolist() == [[pytest.approx(0.9)]]
