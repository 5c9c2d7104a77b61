from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import Dataset, IterableDataset, random_split

from samdomain.cli import main
from samdomain.errors import InputError
from samdomain.training.dataset import collate, read_item
from samdomain.training.epoch_log import read_csv
from samdomain.training.mapped import FromModule, Keys, Mapped
from samdomain.training.objects import Ids

HERE = Path()

Squares = Callable[[int], Dataset[Any]]


@pytest.fixture
def squares_of(monkeypatch: pytest.MonkeyPatch) -> Squares:
    """A dataset that a config can name, of so many items."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return import_module("toy_items").Squares


class Meta(torch.Tensor):
    """A tensor that carries more, as MONAI's do."""


class Cases(Dataset[Any]):
    """Items as MONAI's transforms leave them: channels first, white is 1."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> Any:
        label = torch.zeros(1, 8, 10)
        label[0, 1, 2:5], label[0, 6, 6:9] = 1, 2
        parts = {"image": torch.full((3, 8, 10), 0.5), "label": label}
        return {key: one.as_subclass(Meta) for key, one in parts.items()}


class Parted(LightningDataModule):
    """A module that parts training and validation by chance, as some of torchgeo's do."""

    def __init__(self, squares: Squares) -> None:
        super().__init__()
        self.squares = squares

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self.train_dataset, self.val_dataset = random_split(self.squares(8), [6, 2])
        else:
            self.test_dataset = self.squares(3)


def test_items_of_torchgeo_are_samples(squares_of: Squares) -> None:
    """Images as they are, a mask of classes as one object; no dataset is no split."""
    source = Mapped(train=squares_of(3))
    samples = source.find(HERE, "train").samples
    assert [one.name for one in samples] == ["train-000000", "train-000001", "train-000002"]
    item, given = read_item(samples[1]), squares_of(3)[1]
    assert torch.equal(item.image, given["image"])
    assert torch.equal(item.masks, given["mask"][None] > 0)
    assert samples[1].masks.size() == (32, 32)
    assert not source.find(HERE, "val").samples


def test_items_of_monai_are_samples() -> None:
    """White becomes 255, the channel of the label goes, and so does what tensors carry beside."""
    source = Mapped(train=Cases(), keys=Keys(mask="label", white=1.0, objects=Ids()))
    batch = collate([read_item(one) for one in source.find(HERE, "train").samples])
    assert {type(one) for one in (*batch.images, *batch.masks)} == {torch.Tensor}
    assert torch.all(batch.images[0] == 127.5)
    assert [one.sum().item() for one in batch.masks[0]] == [3, 3]


def test_items_may_lack_a_mask() -> None:
    """They have no object, in their own size: a model adapts to them without labels."""
    (sample, *_) = Mapped(train=Cases()).find(HERE, "train").samples
    assert read_item(sample).masks.shape == (0, 8, 10)


def test_a_data_module_gives_its_datasets(squares_of: Squares) -> None:
    """What it parts by chance is parted alike each time, without a change of others' chance."""
    names: list[list[int]] = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state, source = torch.random.get_rng_state(), FromModule(Parted(squares_of))
        found = {split: source.find(HERE, split).samples for split in ("train", "val", "test")}
        assert torch.equal(torch.random.get_rng_state(), state)
        assert [len(one) for one in found.values()] == [6, 2, 3]
        names.append(list(source.module.train_dataset.indices))
        assert not set(names[-1]) & set(source.module.val_dataset.indices)
    assert names[0] == names[1]


class Slices(Dataset[Any]):
    """A dataset that is asked by places, as torchgeo's of scenes are."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: Any) -> Any:
        return {"image": torch.zeros(3, place.start, 4)}


class Endless(IterableDataset[Any]):
    """A stream of items."""

    def __iter__(self) -> Iterator[Any]:
        yield {}


def test_what_does_not_fit_is_told(squares_of: Squares) -> None:
    """Datasets that number nothing, and parts of other shapes."""
    (sample,) = Mapped(train=Slices()).find(HERE, "train").samples
    with pytest.raises(InputError, match="item 0 of Slices cannot be read by its number"):
        sample.image.read()
    with pytest.raises(InputError, match="a Endless has no length"):
        Mapped(train=Endless()).find(HERE, "train")
    (sample, *_) = Mapped(train=squares_of(1), keys=Keys(image="mask")).find(HERE, "train").samples
    with pytest.raises(InputError, match=r"\(32, 32\) as 'mask': give an image"):
        sample.image.read()
    (sample, *_) = Mapped(train=squares_of(1), keys=Keys(mask="image")).find(HERE, "train").samples
    with pytest.raises(InputError, match=r"\(3, 32, 32\) as 'image': give a mask"):
        sample.masks.read()


@pytest.mark.usefixtures("squares_of")
def test_a_config_names_datasets(config: Callable[..., Path], tmp_path: Path) -> None:
    """A dataset's class and what it is made with are all that a training needs."""
    data = {"class_path": "toy_items.Squares", "init_args": {"number": 4}}
    source = {"class_path": "samdomain.training.mapped.Mapped", "init_args": {"train": data}}
    recipe = {"name": "wesam", "options": {"strong_views": 1}}
    path = config(
        model={"recipe": recipe, "base": {"weights": "tiny"}},
        data={"folder": str(tmp_path), "source": source, "views": 1},
    )
    assert main(["fit", "--config", str(path), "--out", str(tmp_path / "run")]) == 0
    assert "val/agreement" in read_csv(tmp_path / "run/log.csv")[-1]
    again = ["fit", "--config", str(tmp_path / "run"), "--resume"]
    assert main(again) == 0
