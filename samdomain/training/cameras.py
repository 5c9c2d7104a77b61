"""Images as other cameras would have taken them: from farther away, wider, in another light."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Num, Shaped
from torch import Tensor
from torch.nn.functional import interpolate, pad
from torchvision.transforms.functional import gaussian_blur

from samdomain.errors import InputError
from samdomain.training.looks import Light, Looks
from samdomain.training.objects import UNLABELLED

_IMAGE = 3  # dimensions of (C, H, W)
_DAY = Light()
_SIDE = 256  # what the widths of blurs are told for


@dataclass(frozen=True)
class Camera:
    """Another way to take the same picture.

    Attributes:
        distance: factor of the distance. Above 1 all is smaller and lies on ground of the image's
            mean colour; below 1 the middle of the image is left.
        width: factor of all widths; heights stay.
        place: where the image lies on the ground, 0 to 1 from top to bottom and left to right.
        light: the light.
        grey: without colours.
        blur: standard deviation of the blur, in pixels of a picture whose longer side has 256.
    """

    distance: float = 1.0
    width: float = 1.0
    place: tuple[float, float] = (0.5, 0.5)
    light: Light = _DAY
    grey: bool = False
    blur: float = 0.0

    def __call__(self, image: Num[Tensor, "c h w"]) -> Num[Tensor, "c y x"]:
        """Return an image of 0 to 255 as this camera takes it."""
        values = self.light(image) if self.light != _DAY else image.float()
        if self.grey:
            values = values.mean(dim=0, keepdim=True).expand_as(values)
        values = self._widened(values, "bilinear")
        values = self._placed(values, values.mean(dim=(1, 2), keepdim=True))
        if self.blur:
            sigma = self.blur * max(values.shape[1:]) / _SIDE
            reach = min(int(3 * sigma) + 1, min(values.shape[1:]) - 1)
            values = gaussian_blur(values, [2 * reach + 1] * 2, [sigma] * 2)
        return values.round()

    def masks(self, masks: Shaped[Tensor, "... h w"]) -> Shaped[Tensor, "... y x"]:
        """Return masks of objects (N, H, W), or the class of each pixel (H, W), as it sees them.

        Objects that are out of sight are left out; nobody labelled the ground.
        """
        objects = masks.dtype == torch.bool
        planes = masks.reshape(-1, *masks.shape[-2:]).float()
        ground = torch.full((1, 1, 1), 0.0 if objects else float(UNLABELLED))
        seen = self._placed(self._widened(planes, "nearest-exact"), ground.to(planes))
        if not objects:
            return seen.to(masks.dtype).reshape(*masks.shape[:-2], *seen.shape[-2:])
        return seen[seen.flatten(1).any(dim=1)].bool()

    def _widened(self, planes: Tensor, mode: str) -> Tensor:
        rows, columns = planes.shape[1:]
        size = (rows, max(1, round(columns * self.width)))
        if not len(planes):  # torch resizes no empty stack
            return planes.new_zeros(0, *size)
        if self.width == 1.0:
            return planes
        smooth = {"antialias": True, "align_corners": False} if mode == "bilinear" else {}
        return interpolate(planes[None], size, mode=mode, **smooth)[0]

    def _placed(self, planes: Tensor, ground: Tensor) -> Tensor:
        rows, columns = planes.shape[1:]
        high, wide = (max(1, round(side * self.distance)) for side in (rows, columns))
        top, left = (
            round(part * (new - old))
            for part, new, old in zip(self.place, (high, wide), (rows, columns), strict=True)
        )
        # Negative sides cut off.
        sides = (left, wide - columns - left, top, high - rows - top)
        return pad(planes - ground, sides) + ground


CAMERAS: tuple[Camera, ...] = (
    Camera(),
    Camera(width=0.5),
    Camera(width=0.7, light=Light(gamma=1.4, contrast=0.9)),
    Camera(distance=1.5, place=(0.3, 0.7), light=Light(gamma=0.75, channels=(1.06, 1.0, 0.94))),
    Camera(distance=1.7, width=0.6, place=(0.8, 0.2), blur=0.5),
    Camera(distance=0.75, light=Light(contrast=1.3)),
    Camera(distance=2.2, place=(0.5, 0.1), light=Light(gamma=1.2, channels=(0.94, 1.0, 1.06))),
    Camera(distance=1.2, width=1.3, place=(0.9, 0.9), grey=True),
    Camera(width=0.85, light=Light(gamma=1.7, contrast=0.8), blur=1.0),
    Camera(distance=1.4, width=0.5, place=(0.2, 0.4), light=Light(gamma=1.3)),
    Camera(distance=0.85, width=0.6, light=Light(gamma=0.65, contrast=0.85), grey=True),
    Camera(distance=1.8, width=0.8, place=(0.6, 0.9), light=Light(contrast=1.2), blur=0.4),
)
"""Cameras that pictures of one kind of thing differ by; the first takes them as they are."""


@dataclass(frozen=True)
class Cameras(Looks):
    """Show each image as several cameras would have taken it: few images stand for more places.

    Each camera's image goes through the frozen part of the encoder once.

    Attributes:
        cameras: number of `CAMERAS`, from the first on.
    """

    moves: ClassVar[bool] = True

    cameras: int = len(CAMERAS)

    def __post_init__(self) -> None:
        """Refuse cameras that there are not."""
        if not 1 <= self.cameras <= len(CAMERAS):
            raise InputError(f"{self.cameras} cameras: allowed are 1 to {len(CAMERAS)}")

    def __len__(self) -> int:
        """Return the number of cameras."""
        return self.cameras

    def __call__(self, image: Num[Tensor, "*t c h w"], look: int) -> Num[Tensor, "*t c y x"]:
        """Return an image (C, H, W) in a look; see `Looks`."""
        if image.ndim != _IMAGE:
            raise InputError(
                f"looks of cameras are for images (C, H, W), this one is {tuple(image.shape)}: "
                "leave looks out"
            )
        return CAMERAS[look](image) if look else image

    def masks(self, masks: Shaped[Tensor, "... h w"], look: int) -> Shaped[Tensor, "... y x"]:
        """Return the masks of an image in a look."""
        return CAMERAS[look].masks(masks) if look else masks
