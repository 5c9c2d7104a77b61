"""torchgeo's data modules of change, for every kornia that it takes.

Their masks have one frame where the images have two, one a date. kornia refuses that from 0.9 on,
which all releases of torchgeo up to 0.10 take.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torchgeo.datamodules import LEVIRCDDataModule, OSCDDataModule

Sample = dict[str, Any]
Augment = Callable[[Sample], Sample]


def with_framed_mask(augment: Augment, sample: Mapping[str, Any]) -> Sample:
    """Call kornia with the mask once for each date, and return it once again.

    Args:
        augment: what is called.
        sample: `image` (B, T, C, H, W) and `mask` (B, 1, H, W).
    """
    image, mask = sample["image"], sample["mask"]
    found = augment({**sample, "mask": mask.expand(-1, image.shape[1], -1, -1).contiguous()})
    turned: Tensor = found["mask"]
    frames = turned.reshape(*turned.shape[:2], *turned.shape[-2:])
    return {**found, "mask": frames[:, :1]}


class Levir(LEVIRCDDataModule):
    """LEVIR-CD by torchgeo's data module; arguments are its own."""

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Augment a batch on its device."""
        base = super().on_after_batch_transfer
        return with_framed_mask(lambda framed: base(framed, dataloader_idx), batch)


class Oscd(OSCDDataModule):
    """OSCD by torchgeo's data module; arguments are its own."""

    def setup(self, stage: str) -> None:
        """Find the regions of a stage, whose crops are cut when they are read."""
        super().setup(stage)
        for name in ("dataset", "test_dataset"):
            data = getattr(self, name, None)
            if data is not None:
                data.transforms = _Framed(data.transforms)

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Standardise a batch on its device."""
        base = super().on_after_batch_transfer
        return with_framed_mask(lambda framed: base(framed, dataloader_idx), batch)


class _Framed:
    """A transform of samples; workers get it as a pickle."""

    def __init__(self, augment: Augment) -> None:
        self._augment = augment

    def __call__(self, sample: Sample) -> Sample:
        return with_framed_mask(self._augment, sample)
