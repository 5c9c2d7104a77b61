"""The eight ways in which a square lies on itself, as augmentations that lose no pixel."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class View:
    """Turn images by quarters and mirror them.

    Attributes:
        quarters: quarter turns anticlockwise, 0 to 3.
        mirrored: whether the image is mirrored left to right before it is turned.
    """

    quarters: int = 0
    mirrored: bool = False

    def __call__(self, image: Tensor) -> Tensor:
        """Return the view of images, masks or maps (..., H, W)."""
        flipped = image.flip(-1) if self.mirrored else image
        return torch.rot90(flipped, self.quarters, (-2, -1))

    def undo(self, image: Tensor) -> Tensor:
        """Return what lies as the original did, from a view (..., H, W)."""
        turned = torch.rot90(image, -self.quarters, (-2, -1))
        return turned.flip(-1) if self.mirrored else turned

    def points(self, xy: Float[Tensor, "*n 2"], size: tuple[int, int]) -> Float[Tensor, "*n 2"]:
        """Return where points of the original lie in the view.

        Args:
            xy: points as x, y in pixels, the origin at the top-left corner.
            size: (rows, columns) of the original.
        """
        rows, columns = size
        x, y = xy.unbind(-1)
        if self.mirrored:
            x = columns - x
        for _ in range(self.quarters % 4):
            x, y = y, columns - x
            rows, columns = columns, rows
        return torch.stack([x, y], dim=-1)

    def boxes(self, ltrb: Float[Tensor, "n 4"], size: tuple[int, int]) -> Float[Tensor, "n 4"]:
        """Return where boxes (left, top, right, bottom) of the original lie in the view."""
        corners = self.points(ltrb.reshape(-1, 2, 2), size)
        return torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)


VIEWS = tuple(View(quarters, mirrored) for mirrored in (False, True) for quarters in range(4))
"""All eight; the first is the image as it is. Fewer come by slicing: VIEWS[:4]."""
