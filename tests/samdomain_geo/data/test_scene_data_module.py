from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from affine import Affine
from torch.utils.data import DistributedSampler
from torchgeo.datamodules import BaseDataModule

from samdomain.errors import InputError
from samdomain.training.dataset import ViewSampler
from samdomain_geo.data import SceneDataModule


@pytest.fixture
def module(land: Path, write_labels: Callable[..., Path]) -> SceneDataModule:
    """Chips of 32 pixels, two in a batch."""
    settings = {"block": 1, "val": 0.25, "test": 0.25}
    return SceneDataModule(
        [land], write_labels(), class_column="kind", size=32, batch_size=2, settings=settings
    )


def test_batches_are_torchgeo_s(module: SceneDataModule) -> None:
    """Images from 0 to 1, masks of classes, and where each chip lies."""
    assert module.class_names == ("background", "field", "water")
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        batch = next(iter(loader))
        assert batch["image"].shape == (2, 3, 32, 32)
        assert 0 <= batch["image"].min() <= batch["image"].max() <= 1
        assert batch["mask"].shape == (2, 32, 32)
        assert batch["mask"].dtype == torch.int64
        assert set(batch["mask"].unique().tolist()) <= {0, 1, 2, 255}
        for bounds, transform in zip(batch["bounds"], batch["transform"], strict=True):
            left, bottom, right, top = bounds.tolist()
            place = Affine(*transform.tolist())
            assert place @ (0, 0) == pytest.approx((left, top), abs=1e-6)
            assert place @ (32, 32) == pytest.approx((right, bottom), abs=1e-6)


def test_torchgeo_s_command_takes_it(module: SceneDataModule) -> None:
    """It wants a data module of its own kind; that one's division by 255 is not for these."""
    assert isinstance(module, BaseDataModule)
    batch = next(iter(module.val_dataloader()))
    torch.testing.assert_close(module.on_after_batch_transfer({**batch}, 0), batch)


def test_places_stay_where_doubles_are(module: SceneDataModule) -> None:
    """Not all devices have them; images and masks go."""
    batch = module.transfer_batch_to_device(
        next(iter(module.val_dataloader())), torch.device("meta"), 0
    )
    assert {name for name, one in batch.items() if one.is_meta} == {"image", "mask"}
    assert batch["bounds"].dtype == batch["transform"].dtype == torch.float64


def test_chips_are_shared_out_once(module: SceneDataModule) -> None:
    """Lightning takes samplers of this kind as they are; each epoch has an order of its own."""
    sampler = module.train_dataloader().sampler
    assert isinstance(sampler, DistributedSampler)
    own = ViewSampler(module.samples("train"), 8, seed=0)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        own.set_epoch(epoch)
        assert list(sampler) == list(own)
    assert len(sampler) == len(own)


def test_views_turn_chips_in_training_alone(module: SceneDataModule) -> None:
    """Validation is the same whenever it is read."""
    first, second = (list(module.val_dataloader()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one["image"], other["image"])
    assert len(module.train_dataloader().dataset) == 8 * len(module.samples("train"))


def test_a_split_without_chips_says_what_to_do(land: Path, write_labels) -> None:
    """The share of the blocks is named."""
    module = SceneDataModule([land], write_labels(), size=32, settings={"block": 1})
    with pytest.raises(InputError, match=r"settings=\{'test': 0.2\}"):
        module.test_dataloader()
