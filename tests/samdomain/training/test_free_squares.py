from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from samdomain.errors import InputError
from samdomain.training.dataset import read_item
from samdomain.training.folders import Folders
from samdomain.training.free_squares import FreeSquares, pixels_in_squares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of 40 x 50 pixels: two with a small object, one that is full, and a test."""
    for number, split in enumerate(("train", "train", "train", "test")):
        mask = np.zeros((40, 50), np.uint8)
        mask[5:15, 5:15] = 255
        if number == 2:
            mask[:] = 255
        image = np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        for kind, values in (("images", image), ("masks", mask)):
            (tmp_path / split / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / split / kind / f"{number}.png")
    return tmp_path


def test_a_square_without_an_object_has_one_with_it_beside(folder: Path) -> None:
    """Both are parts of their image, of one side; a full image gives none."""
    source = FreeSquares(Folders(), sides=(16, 20, 64), share=1.0)
    whole = {one.name: read_item(one) for one in Folders().find(folder, "train").samples}
    found = source.find(folder, "train").samples
    assert [one.name for one in found[:3]] == ["0", "1", "2"]
    squares = [read_item(one) for one in found[3:]]
    assert len(squares) == 4
    for free, full in zip(squares[::2], squares[1::2], strict=True):
        assert free.image.shape == full.image.shape
        assert free.image.shape[-1] in {16, 20}
        assert len(free.masks) == 0
        assert full.masks.sum() >= 50
        for square in (free, full):
            name, _, place = square.name.partition("@")
            top, left, side = map(int, place.split(","))
            part = whole[name].image[:, top : top + side, left : left + side]
            assert torch.equal(square.image, part)
    assert {one.name.partition("@")[0] for one in squares} == {"0", "1"}


def test_squares_are_always_the_same_and_for_training_alone(folder: Path) -> None:
    """What is drawn follows from the seed; the share is of all images."""
    source = FreeSquares(Folders(), sides=(16,), share=0.34)
    names = [one.name for one in source.find(folder, "train").samples]
    assert names == [one.name for one in source.find(folder, "train").samples]
    assert len(names) == 3 + 2
    assert source.find(folder, "test") == Folders().find(folder, "test")


def test_a_mask_that_cannot_be_read_is_left_to_who_takes_it(folder: Path) -> None:
    """`fit --check` lists it."""
    (folder / "train" / "masks" / "0.png").write_bytes(b"broken")
    source = FreeSquares(Folders(), sides=(16,), share=1.0)
    assert len(source.find(folder, "train").samples) == 3 + 2


@pytest.mark.parametrize("side", [1, 7, 30])
def test_pixels_are_counted_as_a_window_does(side: int) -> None:
    """At each place, in its order: free places are those where a window finds nothing."""
    mask = torch.zeros(30, 41, dtype=torch.bool)
    mask[12:20, 3:9] = mask[2, 40] = True
    counts = pixels_in_squares(mask, side)
    plane = mask[None, None].float()
    windows = F.avg_pool2d(plane, side, stride=1, divisor_override=1)[0, 0]
    assert torch.equal(counts, windows.long())
    found = F.max_pool2d(plane, side, stride=1)[0, 0]
    assert torch.equal((counts == 0).nonzero(), (found == 0).nonzero())


def test_squares_without_room_are_refused() -> None:
    """A side of the mask's shorter one is the largest."""
    mask = torch.ones(4, 6, dtype=torch.bool)
    assert pixels_in_squares(mask, 4).tolist() == [[16, 16, 16]]
    for side in (0, 5):
        with pytest.raises(InputError, match="1 to its shorter side"):
            pixels_in_squares(mask, side)


@pytest.mark.parametrize("words", [{"sides": ()}, {"sides": (0,)}, {"share": 0.0}])
def test_nothing_to_draw_is_refused(words: dict) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match="give sides above 0"):
        FreeSquares(Folders(), **words)
