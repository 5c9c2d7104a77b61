"""Pairs of any data module are turned, swapped and lit in training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from samdomain.errors import InputError
from samdomain.training.looks import LIGHTS, AsTheyAre, Temporal
from samdomain.views import VIEWS
from samdomain_geo.tasks import SamChangeDetection, TemporalAugmentation

SIZE = 8


def make_batch(count: int = 64, rows: int = SIZE, columns: int = SIZE) -> dict[str, Tensor]:
    """Pairs of 0 to 1 whose first date, first channel is what the mask says in 255ths."""
    mask = torch.randint(256, (count, 1, rows, columns))
    image = torch.rand(count, 2, 3, rows, columns)
    image[:, 0, 0] = mask[:, 0] / 255
    return {"image": image, "mask": mask}


def chance(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_dates_and_mask_turn_alike() -> None:
    """Each pair has a view of its own, and all eight come."""
    batch = make_batch()
    found = TemporalAugmentation(looks=AsTheyAre())(batch, chance())
    torch.testing.assert_close(found["image"][:, 0, 0], found["mask"][:, 0] / 255)
    seen = set()
    for old, new in zip(batch["image"], found["image"], strict=True):
        (view,) = [i for i, v in enumerate(VIEWS) if torch.allclose(v(old), new, atol=1e-5)]
        seen.add(view)
    assert seen == set(range(8))


def test_pairs_that_are_no_squares_keep_their_shape() -> None:
    """They are mirrored and turned by half."""
    batch = make_batch(rows=4)
    found = TemporalAugmentation(looks=AsTheyAre())(batch, chance())
    assert found["image"].shape == batch["image"].shape
    torch.testing.assert_close(found["image"][:, 0, 0], found["mask"][:, 0] / 255)
    assert not torch.allclose(found["image"], batch["image"])


def test_dates_are_swapped_by_chance_and_masks_stay() -> None:
    """Some pairs are swapped, the others are as they were."""
    batch = make_batch()
    found = TemporalAugmentation(views=1)(batch, chance())
    assert torch.equal(found["mask"], batch["mask"])
    swapped = [
        torch.allclose(old.flip(0), new, atol=1e-5)
        for old, new in zip(batch["image"], found["image"], strict=True)
    ]
    kept = [
        torch.allclose(old, new, atol=1e-5)
        for old, new in zip(batch["image"], found["image"], strict=True)
    ]
    assert all(a != b for a, b in zip(swapped, kept, strict=True))
    assert any(swapped)
    assert any(kept)


@pytest.mark.parametrize("delivered", [(0.0, 1.0), (-3.0, 5.0), (0.0, 255.0)])
def test_each_date_has_a_light_of_its_own(delivered: tuple[float, float]) -> None:
    """Lights are of the values between black and white, whatever these are."""
    low, high = delivered
    batch = make_batch()
    levels = (batch["image"] * 255).round()
    batch["image"] = levels / 255 * (high - low) + low
    augment = TemporalAugmentation(views=1, looks=Temporal(lights=4, swap=False))
    found = (augment(batch, chance(), delivered)["image"] - low) / (high - low) * 255
    lights = set()
    for old, new in zip(levels, found, strict=True):
        lights.add(
            tuple(
                next(i for i, light in enumerate(LIGHTS) if close(light(old[date]), new[date]))
                for date in range(2)
            )
        )
    assert len({first for first, _ in lights}) == len({second for _, second in lights}) == 4
    assert any(first != second for first, second in lights)


def close(expected: Tensor, found: Tensor) -> bool:
    """Tell whether values agree but for a rounding to the next level."""
    return bool((expected - found).abs().max() <= 1.001)


def test_chance_follows_from_the_number_of_the_batch() -> None:
    """The same batch of an epoch comes out alike in another process; another one differs."""
    trainer: Any = SimpleNamespace(current_epoch=3, global_rank=0)
    task: Any = SimpleNamespace(hparams={})

    def shown(number: int, seed: int = 0) -> Tensor:
        batch = make_batch()
        batch["image"] = torch.linspace(0, 1, batch["image"].numel()).reshape(batch["image"].shape)
        TemporalAugmentation(seed=seed).on_train_batch_start(trainer, task, batch, number)
        return batch["image"]

    assert torch.equal(shown(5), shown(5))
    assert not torch.equal(shown(5), shown(6))
    assert not torch.equal(shown(5), shown(5, seed=1))


def test_a_fit_trains_on_what_it_shows(tmp_path: Path) -> None:
    """The task's steps get the augmented batches in training, and validation as it is."""
    seen: dict[str, Tensor] = {}

    class Watched(SamChangeDetection):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen["train"] = batch["image"]
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            seen["val"] = batch["image"]
            super().validation_step(batch, batch_idx)

    batch = make_batch(4, 32, 32)
    batch["mask"] = (batch["mask"] > 127).long()
    samples = [{key: one[i] for key, one in batch.items()} for i in range(4)]
    loader = DataLoader(samples, batch_size=4)
    trainer = Trainer(
        max_epochs=1,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[TemporalAugmentation(looks=Temporal(lights=2))],
    )
    trainer.fit(Watched(weights="tiny"), loader, loader)
    assert torch.equal(seen["val"], batch["image"])
    assert not torch.allclose(seen["train"], batch["image"])


def test_what_cannot_be_augmented_is_refused() -> None:
    """Images of one date, and views that there are not."""
    single = {"image": torch.zeros(2, 3, 8, 8), "mask": torch.zeros(2, 8, 8)}
    with pytest.raises(InputError, match=r"pairs \(B, T=2, C, H, W\)"):
        TemporalAugmentation()(single, chance())
    with pytest.raises(InputError, match="9 views: allowed are 1 to 8"):
        TemporalAugmentation(views=9)
