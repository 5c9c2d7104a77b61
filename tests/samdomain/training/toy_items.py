"""A dataset as torchgeo has them, small enough for tests."""

import torch
from torch import Tensor
from torch.utils.data import Dataset


class Squares(Dataset[dict[str, Tensor]]):
    """Bright squares on noise.

    Args:
        number: how many items there are.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        chance = torch.Generator().manual_seed(number)
        image = (torch.rand((3, 32, 32), generator=chance) * 80).floor()
        mask = torch.zeros(32, 32, dtype=torch.long)
        mask[4 + number : 16 + number, 6:20] = 1
        image[:, mask > 0] = 220
        return {"image": image, "mask": mask}
