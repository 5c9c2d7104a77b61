from dataclasses import replace

import pytest
import torch

from samdomain import AutomaticMasks, Prompts, decode, encode, load_sam
from samdomain.automatic import stability
from samdomain.errors import InputError
from samdomain.sam import Sam
from samdomain.testing import tiny_sam

LOOSE = AutomaticMasks(per_side=4, least_iou=-10.0, least_stability=0.0)


class Blobs(torch.nn.Module):
    """A decoder that answers each prompt with the square around its first point, 8 cells wide."""

    def forward(
        self,
        *,
        image_embeddings: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        **_: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        places = sparse_prompt_embeddings[:, 0, :2]
        cells = torch.arange(64) + 0.5
        down = (cells[None, :, None] - places[:, 1, None, None]).abs() < 4
        right = (cells[None, None] - places[:, 0, None, None]).abs() < 4
        low_res = torch.where(down & right, 5.0, -5.0)[:, None]
        return low_res, torch.ones(len(image_embeddings), 1) * 0.9


class Places(torch.nn.Module):
    """A prompt encoder whose tokens are the places themselves."""

    def forward(self, *, points: object, boxes: object, masks: object) -> object:
        del masks
        places = points[0] if points is not None else boxes.reshape(-1, 2, 2)
        return places, torch.zeros(len(places), 1, 1, 1)

    def get_dense_pe(self) -> torch.Tensor:
        return torch.zeros(1, 1, 1, 1)


def made() -> Sam:
    sam = tiny_sam()
    sam.prompt_encoder, sam.mask_decoder = Places(), Blobs()
    return sam


def test_a_grid_finds_one_mask_a_cell() -> None:
    """Four clicks a side on squares that do not touch are sixteen masks with tight boxes."""
    found = AutomaticMasks(per_side=4)(made(), torch.rand(3, 64, 64))
    assert len(found) == 16
    assert min(found.boxes.tolist()) == [4, 4, 12, 12]
    assert torch.all(found.stability == 1)


def test_masks_of_one_object_are_found_once() -> None:
    """Neighbouring clicks whose squares overlap by half or more leave one, whatever the parts."""
    sam, image = made(), torch.rand(3, 64, 64)
    dense = AutomaticMasks(per_side=32, overlap=0.5)(sam, image)
    boxes = dense.boxes
    assert len(dense) < 32 * 32 / 2
    corners = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - torch.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    overlap = corners.clamp_min(0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    iou = overlap / (areas[:, None] + areas[None] - overlap)
    assert float((iou - torch.eye(len(boxes))).max()) <= 0.5
    parts = AutomaticMasks(per_side=32, overlap=0.5, together=7)(sam, image)
    assert torch.equal(parts.boxes, boxes)


def test_unsure_masks_are_left_out() -> None:
    """An estimate has to be above the least."""
    sam, image = made(), torch.rand(3, 64, 64)
    assert not len(AutomaticMasks(per_side=4, least_iou=0.9)(sam, image))
    assert len(AutomaticMasks(per_side=4, most=3)(sam, image)) == 3


def test_weights_that_know_boxes_are_asked_by_windows() -> None:
    """Windows of a half and a quarter, half of them apart, stand in the place of clicks."""
    sam = load_sam("tiny")
    sam.spec = replace(sam.spec, prompts=frozenset({"box"}))
    found = LOOSE(sam, torch.rand(3, 48, 64) * 255)
    assert 0 < len(found) <= 9
    again = decode(sam, encode(sam, torch.zeros(3, 48, 64)), Prompts(boxes=found.boxes))
    assert len(again) == len(found)


def test_each_image_has_masks_of_its_own() -> None:
    """In a batch every mask knows its image, and is what it is alone."""
    sam, images = tiny_sam(), torch.rand(2, 3, 64, 64) * 255
    both = LOOSE(sam, images)
    alone = LOOSE(sam, images[1])
    own = both.boxes[both.prediction.images == 1]
    torch.testing.assert_close(own, alone.boxes)
    assert (both.boxes[:, 2:] > both.boxes[:, :2]).all()


def test_stability_by_hand() -> None:
    """Of three cells above -1 two are above 1; nothing at all has none."""
    logits = torch.tensor([[[2.0, 2.0], [0.5, -3.0]], [[-3.0, -3.0], [-3.0, -3.0]]])
    torch.testing.assert_close(stability(logits), torch.tensor([2 / 3, 0.0]))
    assert stability(logits, 0.0).tolist() == [1, 0]


def test_empty_grids_are_refused() -> None:
    """The message says what to give."""
    with pytest.raises(InputError, match="1 or more"):
        AutomaticMasks(per_side=0)
