"""torchgeo's data modules of change deliver, whichever kornia is installed."""

import os
from collections.abc import Callable
from pathlib import Path

import kornia.augmentation as K
import pytest
import torch

from samdomain_geo.tasks.change_modules import Levir, Oscd, with_framed_mask


def test_mask_and_dates_are_cut_alike() -> None:
    """A crop by chance takes the same place of both dates and of the mask."""
    augment = K.AugmentationSequential(
        K.VideoSequential(K.RandomCrop((16, 16))), data_keys=None, keepdim=True
    )
    ramp = torch.arange(32 * 32).reshape(1, 1, 32, 32)
    image = ramp[:, None].expand(-1, 2, 3, -1, -1).float()
    found = with_framed_mask(augment, {"image": image, "mask": ramp})
    assert found["mask"].shape == (1, 1, 16, 16)
    assert found["image"].shape == (1, 2, 3, 16, 16)
    for date in found["image"][0]:
        torch.testing.assert_close(date[0], found["mask"][0, 0].float())


@pytest.mark.parametrize("kind", [Levir, Oscd])
def test_batches_have_two_dates_and_a_mask(
    kind: type[Levir | Oscd], make_data: Callable[[str, Path], None], tmp_path: Path
) -> None:
    """(B, T=2, C, H, W) and (B, 1, H, W), as the task takes them."""
    name = {"Levir": "levircd", "Oscd": "oscd"}[kind.__name__]
    make_data(name, tmp_path)
    module = kind(batch_size=2, patch_size=32, root=os.fspath(tmp_path))
    module.setup("fit")
    batch = next(iter(module.train_dataloader()))
    batch = with_framed_mask(getattr(module, "train_aug", None) or module.aug, batch)
    bands = {"levircd": 3, "oscd": 13}[name]
    assert batch["image"].shape == (2, 2, bands, 32, 32)
    assert batch["mask"].shape == (2, 1, 32, 32)
    assert set(batch["mask"].unique().tolist()) <= {0, 1}
