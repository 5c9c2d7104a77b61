from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from samdomain.errors import InputError
from samdomain.training.dataset import SampleDataset, ViewSampler, collate
from samdomain.training.folders import Folders
from samdomain.training.objects import Whole
from samdomain.training.sample import ImageFile, MaskFile, Sample
from samdomain.views import VIEWS


def test_each_view_is_an_item(squares: Path) -> None:
    """Image and masks are turned alike."""
    samples = Folders().find(squares, "train").samples
    dataset = SampleDataset(samples, views=8)
    assert len(dataset) == 48
    plain, turned = dataset[8], dataset[13]
    assert plain.name == turned.name == "1"
    assert torch.equal(turned.image, VIEWS[5](plain.image))
    assert torch.equal(turned.masks, VIEWS[5](plain.masks))


def test_batches_keep_sizes_and_names(squares: Path) -> None:
    """Images of different sizes go into one batch."""
    image = Image.open(squares / "train/images/0.png").resize((20, 10))
    mask = Image.open(squares / "train/masks/0.png").resize((20, 10))
    image.save(squares / "train/images/0.png")
    mask.save(squares / "train/masks/0.png")
    dataset = SampleDataset(Folders().find(squares, "train").samples)
    batch = collate([dataset[0], dataset[1]])
    assert [tuple(one.shape) for one in batch.images] == [(3, 10, 20), (3, 32, 32)]
    assert list(batch.names) == ["0", "1"]


def test_a_mask_of_another_size_is_named(squares: Path) -> None:
    """The image is named."""
    Image.new("L", (3, 3)).save(squares / "train/masks/0.png")
    with pytest.raises(InputError, match=r"0\.png"):
        SampleDataset(Folders().find(squares, "train").samples)[0]


def samples(number: int, weight: float = 1.0) -> list[Sample]:
    """Samples that nobody reads."""
    nowhere = MaskFile(Path("none.png"), Whole())
    return [Sample(str(i), ImageFile(nowhere.path), nowhere, weight) for i in range(number)]


def test_heavy_samples_are_drawn_more_often() -> None:
    """One that weighs as much as nine others is about half of what is drawn."""
    drawn = ViewSampler([*samples(9), *samples(1, weight=9.0)], variants=1, seed=0)
    counts: Counter[int] = Counter()
    for epoch in range(60):
        drawn.set_epoch(epoch)
        counts.update(drawn)
    assert sum(counts.values()) == 600
    assert 240 < counts[9] < 360


def test_an_epoch_has_each_sample_once() -> None:
    """The views differ, the samples are all there."""
    items = list(ViewSampler(samples(5), variants=4, seed=0))
    assert sorted(item // 4 for item in items) == [0, 1, 2, 3, 4]
    assert len({item % 4 for item in items}) > 1


def test_order_follows_from_seed_and_epoch() -> None:
    """The same epoch of the same seed is the same, whatever came before."""
    first, second = (ViewSampler(samples(9), 2, seed=3) for _ in range(2))
    epochs = []
    for epoch in range(3):
        first.set_epoch(epoch)
        epochs.append(list(first))
    second.set_epoch(2)
    assert list(second) == epochs[2] != epochs[1]
    assert list(ViewSampler(samples(9), 2, seed=4)) != epochs[0]


@pytest.mark.parametrize("number", [1, 7, 8])
def test_processes_share_the_samples_out(number: int) -> None:
    """All have as many; together they have every sample, few of them twice."""
    parts = [list(ViewSampler(samples(number), 1, 0, process, 3)) for process in range(3)]
    assert len({len(part) for part in parts}) == 1
    counts = Counter(item for part in parts for item in part)
    assert set(counts) == set(range(number))
    assert sum(counts.values()) - number < 3


def test_views_are_eight_at_most() -> None:
    """More are refused."""
    with pytest.raises(InputError, match="1 to 8"):
        SampleDataset((), views=9)
