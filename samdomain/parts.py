"""The map of a SAM: where its parts lie."""

import re

from torch import nn

from samdomain.errors import InjectionError

# A block of a ViT, or of a stage of TinyViT.
_BLOCK = re.compile(r"image_encoder\.(stages\.\d+\.)?blocks\.\d+")


def late_modules(sam: nn.Module, last: int) -> frozenset[str]:
    """Name the encoder's modules that run from the N-th last block on, the neck included.

    What comes before needs no gradient as long as nothing in it trains.

    Args:
        sam: model to search.
        last: number of blocks N, counted over all stages of the encoder.

    Raises:
        InjectionError: the encoder has fewer blocks.
    """
    names = [name for name, _ in sam.named_modules() if name.startswith("image_encoder.")]
    blocks = [i for i, name in enumerate(names) if _BLOCK.fullmatch(name)]
    if not 1 <= last <= len(blocks):
        raise InjectionError(
            f"the encoder has {len(blocks)} blocks, asked for are its last {last}: "
            f"give a number from 1 to {len(blocks)}"
        )
    return frozenset(names[blocks[-last] :])
