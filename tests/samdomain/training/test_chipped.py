from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from samdomain.errors import InputError
from samdomain.training.chipped import Chipped
from samdomain.training.dataset import read_item
from samdomain.training.folders import Folders
from samdomain.training.sample import Scale


@pytest.fixture
def folder(pairs: Callable[[str, range], Path]) -> Path:
    """One image of 32 x 32 pixels with its mask."""
    return pairs("data", range(1))


def test_chips_cover_the_image(folder: Path) -> None:
    """The last chips end where the image does; put together they are the image."""
    whole = read_item(Folders().find(folder, "train").samples[0])
    chips = Chipped(Folders(), 12).find(folder, "train").samples
    assert [one.name for one in chips[:4]] == ["0@0,0", "0@0,12", "0@0,20", "0@12,0"]
    assert len(chips) == 9
    for chip, (top, left) in zip(
        chips, [(t, s) for t in (0, 12, 20) for s in (0, 12, 20)], strict=True
    ):
        item = read_item(chip)
        assert torch.equal(item.image, whole.image[:, top : top + 12, left : left + 12])
        mask = whole.masks.any(dim=0)[top : top + 12, left : left + 12]
        assert torch.equal(item.masks.any(dim=0), mask)
        assert chip.masks.size() == (12, 12)


def test_small_images_stay_whole(folder: Path) -> None:
    """A chip is no larger than its image."""
    (chip,) = Chipped(Folders(), 64).find(folder, "train").samples
    assert read_item(chip).image.shape == (3, 32, 32)


def test_overlap_makes_more_chips(folder: Path) -> None:
    """Half of each is seen twice."""
    assert len(Chipped(Folders(), 16, overlap=8).find(folder, "train").samples) == 9


def test_objects_outside_are_left_out(folder: Path) -> None:
    """A chip has the planes of its own objects."""
    chips = Chipped(Folders(), 8).find(folder, "train").samples
    items = [read_item(one) for one in chips]
    assert {len(one.masks) for one in items} == {0, 1}
    assert all(one.masks.flatten(1).any(dim=1).all() for one in items)


def test_chips_tell_their_scale_and_content(folder: Path) -> None:
    """The adapter's card gets the side; two chips of an image differ."""
    source = Chipped(Folders(), 16)
    assert source.scale(folder) == Scale(chip=16, values=(0.0, 255.0))
    digests = [one.image.digest() for one in source.find(folder, "train").samples]
    assert len(set(digests)) == 4
    assert "at row 0, column 16" in str(source.find(folder, "train").samples[1].image)


def test_chips_take_the_range_of_their_images(folder: Path) -> None:
    """All have the one that is given."""
    source = Chipped(Folders(), 16, values=(0.0, 10_000.0))
    assert source.scale(folder).values == (0.0, 10_000.0)
    assert {one.value_range for one in source.find(folder, "train").samples} == {(0.0, 10_000.0)}


def test_chips_that_cover_nothing_new_are_refused() -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match="give 0 to 15"):
        Chipped(Folders(), 16, overlap=16)


def test_an_image_larger_than_its_masks_is_refused(folder: Path) -> None:
    """Its chips would show another place than theirs."""
    (path,) = (folder / "images").iterdir()
    with Image.open(path) as image:
        image.resize((64, 64)).save(path)
    chips = Chipped(Folders(), 16).find(folder, "train").samples
    with pytest.raises(InputError, match=r"has \(64, 64\) pixels, its masks \(32, 32\)"):
        read_item(chips[0])
