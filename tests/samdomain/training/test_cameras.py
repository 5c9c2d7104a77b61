from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samdomain import Prompts
from samdomain.errors import InputError
from samdomain.training.cameras import CAMERAS, Camera, Cameras
from samdomain.training.dataset import SampleDataset
from samdomain.training.folders import Folders

ROWS, COLUMNS = 60, 80


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """A bright object on dark ground, and its mask."""
    image = torch.full((3, ROWS, COLUMNS), 40, dtype=torch.uint8)
    mask = torch.zeros(1, ROWS, COLUMNS, dtype=torch.bool)
    mask[0, 20:40, 24:56] = True
    image[:, mask[0]] = 220
    return image, mask


@pytest.mark.parametrize("look", range(len(CAMERAS)))
def test_masks_follow_what_is_seen(look: int) -> None:
    """Where the mask is, the picture is bright; beside it, it is dark."""
    image, mask = scene()
    cameras = Cameras()
    seen, (there,) = cameras(image, look), cameras.masks(mask, look)
    assert seen.shape[1:] == there.shape
    assert 0 <= seen.min() <= seen.max() <= 255
    assert torch.equal(seen, seen.round())
    bright, dark = seen.float()[:, there].mean(), seen.float()[:, ~there].mean()
    assert bright > 130
    assert dark < 100
    classes = cameras.masks(mask[0].long(), look)
    assert torch.equal(classes == 1, there)
    assert set(classes.unique().tolist()) <= {0, 1, 255}


def test_the_first_camera_takes_pictures_as_they_are() -> None:
    """Nothing is computed."""
    image, mask = scene()
    assert Cameras()(image, 0) is image
    assert Cameras().masks(mask, 0) is mask


def test_farther_away_all_is_smaller_on_ground_of_the_mean_colour() -> None:
    """Twice as far, at the top left; the ground is labelled by nobody."""
    image, mask = scene()
    camera = Camera(distance=2.0, place=(0.0, 0.0))
    seen, there = camera(image), camera.masks(mask)
    assert torch.equal(seen[:, :ROWS, :COLUMNS], image.float())
    assert torch.equal(there[:, :ROWS, :COLUMNS], mask)
    ground = image.float().mean(dim=(1, 2)).round()
    assert torch.equal(seen[:, -1, -1], ground)
    assert camera.masks(mask[0].long())[-1, -1] == 255


def test_what_is_out_of_sight_is_no_object() -> None:
    """Nearer, an object at the edge is gone; of none none is left."""
    mask = torch.zeros(2, ROWS, COLUMNS, dtype=torch.bool)
    mask[0, :4, :4] = True
    mask[1, 28:32, 38:42] = True
    camera = Camera(distance=0.5)
    assert camera.masks(mask).shape == (1, 30, 40)
    assert camera.masks(mask[:0]).shape == (0, 30, 40)
    assert Camera(width=0.5).masks(mask[:0]).shape == (0, 60, 40)


def test_widths_alone_change() -> None:
    """Proportions are those of another make of the thing."""
    image, mask = scene()
    camera = Camera(width=0.5)
    assert camera(image).shape == (3, ROWS, 40)
    assert camera.masks(mask).sum() == mask.sum() / 2


def test_other_cameras_are_refused() -> None:
    """And images of two dates."""
    with pytest.raises(InputError, match=r"13 cameras: allowed are 1 to 12"):
        Cameras(13)
    with pytest.raises(InputError, match=r"for images \(C, H, W\)"):
        Cameras()(torch.zeros(2, 3, 8, 8), 1)


def test_folders_are_seen_by_cameras(tmp_path: Path) -> None:
    """As items of training; a person's prompts would point elsewhere."""
    image, mask = scene()
    for folder, pixels in (("images", image.permute(1, 2, 0)), ("masks", mask[0].byte() * 255)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.asarray(pixels)).save(tmp_path / folder / "a.png")
    source = Folders(looks=Cameras(3))
    samples = source.find(tmp_path, "train").samples
    dataset = SampleDataset(samples, 1, source.augmentation())
    assert [dataset[i].masks.shape[2] for i in range(len(dataset))] == [80, 40, 56]
    click = Prompts(points=torch.ones(1, 1, 2), labels=torch.ones(1, 1, dtype=torch.long))
    with pytest.raises(InputError, match="prompts do not follow the looks of Cameras"):
        SampleDataset([replace(samples[0], prompts=click)], 1, Cameras())
