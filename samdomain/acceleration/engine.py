"""What an engine is: it turns the heavy parts of a SAM into ones that only infer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from samdomain.sam import Sam
from samdomain.sam.model import ImageEncoder, MaskDecoder

Precision = Literal["f32", "bf16"]

Levels = Mapping[int, Float[Tensor, "b _ _ _"]]


@runtime_checkable
class Engine(Protocol):
    """Turn an image encoder and a mask decoder into ones that only infer.

    The prompt encoder takes no time beside them, and stays in torch.

    Attributes:
        key: name and version; a converted model of another key is converted anew.
    """

    key: str

    def convert(self, sam: Sam, folder: Path) -> None:
        """Write what the engine needs into a folder, once for a state of the weights."""
        ...

    def load(
        self, sam: Sam, folder: Path, precision: Precision
    ) -> tuple[ImageEncoder, MaskDecoder]:
        """Return encoder and decoder, from the folder where `convert` has written into it."""
        ...
