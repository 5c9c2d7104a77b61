"""What the channels of an answer without prompts mean, and what follows from their logits."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from samdomain.errors import InputError

_MAP, _PLANES = 2, 3  # dimensions of (H, W) and of (K, H, W)


@dataclass(frozen=True)
class Legend:
    """Name the K channels of logits, and say whether they exclude one another.

    Attributes:
        names: names of the classes, by channel.
        overlapping: a pixel may have any number of them, a sigmoid each; otherwise it has one,
            by a softmax.
        ignore: value of pixels in a map of classes that nobody labelled.

    Raises:
        InputError: there is no class, or a name stands twice.
    """

    names: tuple[str, ...]
    overlapping: bool = False
    ignore: int = 255

    def __post_init__(self) -> None:
        """Refuse names that name nothing."""
        if not self.names or len(set(self.names)) < len(self.names):
            raise InputError(f"classes are {list(self.names)}: give one or more different names")

    def __len__(self) -> int:
        """Return K."""
        return len(self.names)

    def probabilities(self, logits: Float[Tensor, "*b k h w"]) -> Float[Tensor, "*b k h w"]:
        """Return the probability of each class; they add up to 1 where they exclude one another."""
        return logits.sigmoid() if self.overlapping else logits.softmax(dim=-3)

    def decide(self, logits: Float[Tensor, "*b k h w"]) -> Bool[Tensor, "*b k h w"]:
        """Return where each class is: from one half on, or where it is the likeliest."""
        if self.overlapping:
            return logits > 0
        best = logits.argmax(dim=-3, keepdim=True)
        return torch.zeros_like(logits, dtype=torch.bool).scatter_(-3, best, value=True)

    def planes(self, mask: Shaped[Tensor, "... h w"], name: str = "") -> Bool[Tensor, "k h w"]:
        """Take a mask apart into one plane a class; unlabelled pixels are in none.

        Args:
            mask: class of each pixel (H, W), or planes (K, H, W) of classes that overlap.
            name: name of the image, for messages.

        Raises:
            InputError: the mask holds a value that is no class, or has other planes.
        """
        if self.overlapping:
            if mask.ndim != _PLANES or len(mask) != len(self):
                raise InputError(
                    f"the mask of {name!r} is {tuple(mask.shape)}: classes that overlap need one "
                    f"plane each, {len(self)} in all"
                )
            return mask.bool()
        if mask.ndim != _MAP:
            raise InputError(
                f"the mask of {name!r} is {tuple(mask.shape)}: give the class of each pixel (H, W)"
            )
        classes = mask.long()
        known = (classes >= 0) & (classes < len(self))
        if foreign := classes[~known & (classes != self.ignore)].unique().tolist():
            raise InputError(
                f"the mask of {name!r} holds {', '.join(map(str, foreign[:3]))}: the {len(self)} "
                f"classes are 0 to {len(self) - 1}, and {self.ignore} is where nobody labelled"
            )
        return classes == torch.arange(len(self), device=mask.device)[:, None, None]

    def labelled(self, planes: Bool[Tensor, "k h w"]) -> Bool[Tensor, "h w"]:
        """Return which pixels of a mask that was taken apart count."""
        if self.overlapping:
            return planes.new_ones(planes.shape[1:])
        return planes.any(dim=0)


THING = Legend(("object",), overlapping=True)
"""One kind of thing: it is there where its logit is above 0."""

CHANGE = Legend(("change",), overlapping=True)
"""What differs between two dates: it is there where its logit is above 0."""
