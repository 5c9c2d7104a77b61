from dataclasses import replace

import pytest
import torch

from samdomain import Prompts, encode, load_sam
from samdomain.errors import InputError
from samdomain.recipes import Batch

IMAGES = torch.zeros(1, 3, 4, 6)


def mask(*pixels: tuple[int, int]) -> torch.Tensor:
    plane = torch.zeros(4, 6, dtype=torch.bool)
    for pixel in pixels:
        plane[pixel] = True
    return plane


def test_objects_of_one_mask_are_its_parts() -> None:
    """Pixels that share no edge are two objects; the foreground has both."""
    batch = Batch(IMAGES, [mask((0, 0), (1, 1))])
    assert batch.objects()[0].shape == (2, 4, 6)
    assert batch.foregrounds()[0].sum() == 2


def test_numbers_tell_objects_apart() -> None:
    """Touching pixels of the numbers 3 and 7 are two objects; 0 is none."""
    numbers = torch.zeros(4, 6, dtype=torch.int32)
    numbers[0, 0], numbers[0, 1] = 3, 7
    batch = Batch(IMAGES, [numbers])
    assert [int(plane.sum()) for plane in batch.objects()[0]] == [1, 1]
    assert batch.foregrounds()[0].sum() == 2


def test_planes_may_overlap_and_be_empty() -> None:
    """A plane is an object, unless it has no pixel; no plane at all is an empty mask."""
    planes = torch.stack([mask((0, 0), (0, 1)), mask((0, 1)), mask()])
    batch = Batch(IMAGES, [planes])
    assert len(batch.objects()[0]) == 2
    assert batch.foregrounds()[0].sum() == 2
    assert not Batch(IMAGES, [planes[:0]]).foregrounds()[0].any()


def test_names_are_places_by_default() -> None:
    """A message can always name an image."""
    assert Batch(IMAGES, [mask()]).names == ("0",)


def test_what_does_not_fit_is_refused() -> None:
    """The message names the image and says what to give."""
    with pytest.raises(InputError, match="1 images, 2 masks"):
        Batch(IMAGES, [mask(), mask()])
    with pytest.raises(InputError, match=r"'a' has \(5, 6\) pixels"):
        Batch(IMAGES, [torch.zeros(5, 6, dtype=torch.bool)], ["a"])
    with pytest.raises(InputError, match=r"mask of 'a' is torch\.float32"):
        Batch(IMAGES, [torch.zeros(4, 6)], ["a"])


def test_a_batch_moves_as_a_whole() -> None:
    """Images and masks arrive on the device."""
    moved = Batch(IMAGES, [mask()]).to("meta")
    assert moved.images.device.type == moved.masks[0].device.type == "meta"


def test_one_range_is_for_all_images() -> None:
    """Models that scale by lowest and highest value get the batch's, not each image's own."""
    sam = load_sam("tiny")
    sam.spec = replace(sam.spec, scaling="minmax")
    images = torch.rand(2, 3, 32, 32) * torch.tensor([40.0, 255])[:, None, None, None]
    masks = [torch.zeros(32, 32, dtype=torch.bool)] * 2
    found = Batch(images, masks, value_range=(0.0, 255.0)).encoded(sam).main
    torch.testing.assert_close(found, encode(sam, images, (0.0, 255.0)).main)
    torch.testing.assert_close(Batch(images, masks).encoded(sam).main, encode(sam, images).main)


def test_an_image_alone_keeps_what_is_its_own() -> None:
    """Its mask, name, range and prompts come along, the prompts as those of the first image."""
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 4, 4]])
    prompts = Prompts(boxes=boxes, images=torch.tensor([1, 0, 1]))
    masks = [mask((0, 0)), mask((1, 1))]
    both = Batch(IMAGES.repeat(2, 1, 1, 1), masks, ("a", "b"), prompts, (0.0, 9.0))
    alone = both.alone(1)
    assert (list(alone.names), alone.value_range) == (["b"], (0.0, 9.0))
    assert torch.equal(alone.masks[0], masks[1])
    assert alone.prompts is not None
    assert torch.equal(alone.prompts.boxes, boxes[[0, 2]])
    assert alone.prompts.images.tolist() == [0, 0]
