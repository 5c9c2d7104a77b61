"""Keep named tensors on disk by key, within a bound, for several processes at once."""

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from samdomain.weights.registry import cache_folder
from samdomain.whole_file import whole_file

logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 20 * 10**9
"""Bytes that a store takes on disk at most, unless told otherwise."""

# Files written between two looks at how large the store has become.
_LOOK = 64

# After a look that found too much, this share of the limit is left: not every write prunes.
_LEFT = 0.9


def features_folder() -> Path:
    """Return where cached features are kept, for all runs together."""
    return cache_folder() / "features"


class FeatureStore:
    """Keep tensors in half precision, one file a key, the least recently used dropped first.

    Files appear whole or not at all, so that processes may share a folder without a lock. A
    store only ever saves time: what cannot be written or read is computed again.

    Args:
        folder: where the files are; it is made where it is missing.
        limit: bytes on disk at most.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self._written = 0

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return the tensors of a key in float32, mapped from disk; None where it is absent."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
            os.utime(path)  # used now: pruned last
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            logger.warning("%s cannot be read and is computed again: %s", path, error)
            return None
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Write the tensors of a key; a full disk is reported and otherwise ignored."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as scratch:
                save_file({name: rounded(one) for name, one in tensors.items()}, scratch)
        except (OSError, SafetensorError) as error:
            logger.warning("features cannot be kept in %s: %s", self.folder, error)
            return
        self._written += 1
        if self._written % _LOOK == 1:
            self.prune()

    def prune(self) -> None:
        """Drop the least recently used files until the store is within its limit."""
        files: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*/*.safetensors"):
            with contextlib.suppress(OSError):  # another process dropped it just now
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        size = sum(one[1] for one in files)
        if size <= self.limit:
            return
        for _, length, path in sorted(files):
            if size <= _LEFT * self.limit:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            size -= length

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def rounded(tensor: Tensor) -> Tensor:
    """Return a tensor as a store keeps it: in fp16, or as it is where fp16 cannot hold it."""
    # Activations deep in a ViT can exceed 65,504.
    halved = tensor.detach().cpu().half()
    return halved.contiguous() if bool(torch.isfinite(halved).all()) else tensor.detach().cpu()
