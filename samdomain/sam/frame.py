"""Place images inside the encoder's square input, and map coordinates and masks back."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from samdomain.sam.spec import Padding


@dataclass(frozen=True)
class Frame:
    """Know where each of B images lies inside the square that the encoder saw.

    Coordinates are (x, y) in pixels with the origin at the top-left corner. All else
    follows from the sizes: the longer side of an image fills the square, as in SAM's
    ResizeLongestSide.

    Attributes:
        sizes: (rows, columns) of each original image.
        input_size: side of the square in pixels.
        padding: "end" keeps an image at the top left, "both" centres it.
    """

    sizes: tuple[tuple[int, int], ...]
    input_size: int
    padding: Padding = "end"

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.sizes)

    def select(self, images: list[int]) -> "Frame":
        """Return the frame of the given images, in the given order."""
        return Frame(tuple(self.sizes[i] for i in images), self.input_size, self.padding)

    def resized(self, image: int) -> tuple[int, int]:
        """Return (rows, columns) of an image inside the square."""
        rows, columns = self.sizes[image]
        scale = self.input_size / max(rows, columns)
        return max(1, int(rows * scale + 0.5)), max(1, int(columns * scale + 0.5))

    def offset(self, image: int) -> tuple[int, int]:
        """Return (top, left) of an image inside the square."""
        if self.padding == "end":
            return 0, 0
        rows, columns = self.resized(image)
        return (self.input_size - rows) // 2, (self.input_size - columns) // 2

    def pad(self, pixels: Float[Tensor, "*b c h w"], image: int) -> Float[Tensor, "*b c s s"]:
        """Pad an image of its resized size, or several of them, with zeros to the square."""
        top, left = self.offset(image)
        rows, columns = self.resized(image)
        size = self.input_size
        return F.pad(pixels, (left, size - left - columns, top, size - top - rows))

    def to_input(
        self, points: Float[Tensor, "n k 2"], images: Int[Tensor, " n"]
    ) -> Float[Tensor, "n k 2"]:
        """Map points of the original images into the square.

        Args:
            points: (x, y) in pixels of the original image.
            images: index of the image that each row of points belongs to.
        """
        scale, shift = self._affine(points)
        return points * scale[images, None] + shift[images, None]

    def from_input(
        self, points: Float[Tensor, "n k 2"], images: Int[Tensor, " n"]
    ) -> Float[Tensor, "n k 2"]:
        """Map points of the square back into the original images; see `to_input`."""
        scale, shift = self._affine(points)
        return (points - shift[images, None]) / scale[images, None]

    def to_original(self, logits: Float[Tensor, "m s s"], image: int) -> Float[Tensor, "m h w"]:
        """Cut the padding off mask logits and resize them to the original image.

        Args:
            logits: logits over the square, at any resolution.
            image: index of the image that the logits belong to.
        """
        size = (self.input_size, self.input_size)
        square = _resize(logits, size)
        top, left = self.offset(image)
        rows, columns = self.resized(image)
        return _resize(square[:, top : top + rows, left : left + columns], self.sizes[image])

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        scales: list[tuple[float, float]] = []
        shifts: list[tuple[int, int]] = []
        for image, (rows, columns) in enumerate(self.sizes):
            resized_rows, resized_columns = self.resized(image)
            top, left = self.offset(image)
            scales.append((resized_columns / columns, resized_rows / rows))
            shifts.append((left, top))
        return like.new_tensor(scales), like.new_tensor(shifts)


def _resize(logits: Float[Tensor, "m h w"], size: tuple[int, int]) -> Float[Tensor, "m h2 w2"]:
    if tuple(logits.shape[-2:]) == size:
        return logits
    return F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]


def resize_image(pixels: Float[Tensor, "c h w"], size: tuple[int, int]) -> Float[Tensor, "c h2 w2"]:
    """Resize an image with the antialiased bilinear filter that SAM was trained behind."""
    if tuple(pixels.shape[-2:]) == size:
        return pixels
    return F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
