"""Two dates of each place: found, checked, cut, and given other looks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samdomain.errors import InputError
from samdomain.recipes import Batch
from samdomain.training.chipped import Chipped
from samdomain.training.data import Samples
from samdomain.training.dataset import SampleDataset, collate
from samdomain.training.folders import Folders
from samdomain.training.looks import LIGHTS, AsTheyAre, Temporal
from samdomain.training.pairs import Pairs
from samdomain.training.tallies import ChangeTally

SIZE = 16


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_places(folder: Path, names: str) -> Path:
    for number, name in enumerate(names):
        chance = np.random.default_rng(number)
        for date in "AB":
            pixels = chance.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            write(folder / date / f"{name}.png", pixels)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[:4, :8] = 255
        write(folder / "label" / f"{name}.png", mask)
    return folder


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Two places for training, one for validation."""
    write_places(tmp_path / "train", "ab")
    write_places(tmp_path / "val", "c")
    return tmp_path


def test_both_dates_are_one_image(places: Path) -> None:
    """(T=2, C, H, W), the earlier first, with one range of values for all."""
    found = Pairs().find(places, "train")
    assert [one.name for one in found.samples] == ["a", "b"]
    assert found.problems == ()
    sample = found.samples[0]
    image = sample.image.read()
    assert image.shape == (2, 3, SIZE, SIZE)
    later = np.array(Image.open(places / "train/B/a.png")).transpose(2, 0, 1)
    assert torch.equal(image[1], torch.as_tensor(later))
    assert sample.masks.read().sum() == 32
    assert sample.value_range == (0.0, 255.0)
    assert Pairs().scale(places).values == (0.0, 255.0)


def test_what_does_not_pair_is_listed(places: Path) -> None:
    """A place with one date, and a mask too many."""
    (places / "train/B/b.png").unlink()
    found = Pairs().find(places, "train")
    assert [one.name for one in found.samples] == ["a"]
    assert any("b has one date only" in one for one in found.problems)
    assert any("b.png has no image" in one for one in found.problems)


def test_a_split_without_a_whole_pair_says_why(places: Path) -> None:
    """What is wrong with the first one, and of how many that is so."""
    for name in "ab":
        (places / f"train/B/{name}.png").rename(places / f"train/B/{name}_later.png")
    with pytest.raises(InputError, match=r"B/a_later.png has no mask, and 5 more"):
        Samples(places, Pairs()).found("train")


def test_dates_on_two_grids_are_refused(places: Path) -> None:
    """The message names both files."""
    write(places / "val/B/c.png", np.zeros((8, SIZE, 3), np.uint8))
    with pytest.raises(InputError, match=r"A/c.png is .* B/c.png|A/c.png is"):
        Pairs().find(places, "val").samples[0].image.read()


def test_pairs_tell_their_content(places: Path) -> None:
    """The digest changes with either date."""
    first, second = (one.image for one in Pairs().find(places, "train").samples)
    assert first.digest() != second.digest()
    assert first.digest() == Pairs().find(places, "train").samples[0].image.digest()
    (places / "train/A/a.png").unlink()
    assert first.digest() is None


def test_chips_cut_both_dates(places: Path) -> None:
    """Both dates and the mask of a chip show the same place, with the source's looks."""
    source = Chipped(Pairs(), size=8)
    samples = source.find(places, "val").samples
    assert len(samples) == 4
    whole = Pairs().find(places, "val").samples[0].image.read()
    assert torch.equal(samples[1].image.read(), whole[..., :8, 8:])
    assert len(source.augmentation()) == 2
    assert len(Chipped(Folders(), size=8).augmentation()) == len(AsTheyAre()) == 1


def test_looks_swap_and_light_the_dates(places: Path) -> None:
    """Each look is a light for each date, in one order or the other; look 0 is the pair."""
    pair = Pairs().find(places, "val").samples[0].image.read()
    looks = Temporal(lights=2)
    shown = [looks(pair, look) for look in range(len(looks))]
    assert len(shown) == 8
    assert torch.equal(shown[0], pair)
    assert torch.equal(shown[4], pair.flip(0))
    assert torch.equal(shown[1][0], LIGHTS[1](pair[0]))
    assert torch.equal(shown[1][1], pair[1].float())
    assert torch.equal(shown[6], torch.stack([LIGHTS[1](pair[1]), pair[0].float()]))
    assert all(one.min() >= 0 and one.max() <= 255 for one in shown)
    assert not any(torch.equal(a.float(), b.float()) for a in shown for b in shown if a is not b)


def test_looks_are_for_pairs(places: Path) -> None:
    """An image of one date has no order."""
    with pytest.raises(InputError, match="pairs"):
        Temporal()(torch.zeros(3, 8, 8), 0)
    with pytest.raises(InputError, match="9 lights: allowed are 1 to 4"):
        Temporal(lights=9)


def test_a_view_turns_dates_and_mask_alike(places: Path) -> None:
    """Every variant of a sample stands in the data set once; masks turn with both dates."""
    samples = Pairs().find(places, "train").samples
    data = SampleDataset(samples, views=2, looks=Temporal())
    assert len(data) == 2 * 2 * 2
    plain, swapped, turned = data[0], data[1], data[2]
    assert torch.equal(swapped.image, plain.image.flip(0))
    assert torch.equal(swapped.masks, plain.masks)
    assert torch.equal(turned.image, torch.rot90(plain.image, 1, (-2, -1)))
    assert torch.equal(turned.masks, torch.rot90(plain.masks, 1, (-2, -1)))
    batch = collate([plain, data[4]])
    assert [tuple(one.shape) for one in batch.images] == [(2, 3, SIZE, SIZE)] * 2


def test_the_tally_counts_pairs_and_adds_them_up() -> None:
    """Each row has the counts of a pair; figures are of all pixels, and of objects."""
    truth = torch.tensor([[1, 1, 0, 0]], dtype=torch.bool)
    logits = torch.tensor([[[2.0, -1, 2, -1]]])
    tally = ChangeTally()
    row = tally.add(logits, Batch([torch.zeros(2, 3, 1, 4)], [truth]))
    assert row == {
        "pixels_both": 1,
        "pixels_found": 2,
        "pixels_changed": 2,
        "pixels_total": 4,
        "objects_true": 1,
        "objects_hit": 1,
        "objects_found": 2,
        "objects_right": 1,
    }
    tally.add(-logits, Batch([torch.zeros(2, 3, 1, 4)], [truth]))
    figures = tally.pooled()
    assert figures["change_f1"] == 0.5
    assert figures["object_recall"] == 1.0
    assert figures["object_precision"] == pytest.approx(2 / 4)
