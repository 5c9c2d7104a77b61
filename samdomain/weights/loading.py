"""Find weights, prove that they are the right ones, and load them."""

import hashlib
from pathlib import Path

import torch

from samdomain.backbones import BACKBONES, recognise
from samdomain.errors import WeightsError
from samdomain.sam import Sam
from samdomain.weights.reading import read_state
from samdomain.weights.registry import REGISTRY

DEFAULT = "litemedsam"

# Random weights are made, not found; a fixed seed makes every "tiny" the same.
_TINY_SEED = 0


def load_sam(weights: str | Path = DEFAULT) -> Sam:
    """Build a SAM and load its weights, on the CPU and in eval mode.

    Args:
        weights: a name of the registry (`litemedsam`, `mobile_sam`), `tiny` for a small model
            with random weights, or the path of a checkpoint in any layout of the catalogue:
            .safetensors, or a .pth that holds tensors only.

    Raises:
        WeightsError: the name is unknown, the file is absent, differs from the registry's
            digest, holds code, or fits no architecture.
    """
    if weights == "tiny":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_TINY_SEED)
            return BACKBONES["tiny"].build().eval()
    path = find(weights)
    digest = sha256(path)
    state = read_state(path)
    entry = REGISTRY.get(str(weights))
    if entry is None:
        backbone = recognise(state)
    else:
        _compare(str(weights), path, digest, entry.sha256)
        backbone = entry.backbone
    sam = backbone.build()
    try:
        sam.load_state_dict(backbone.read(state))
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not hold {backbone.spec.name!r}: {' '.join(str(error).split())[:300]}"
        ) from error
    sam.weights_sha256 = digest
    return sam.eval()


def find(weights: str | Path) -> Path:
    """Return the file of a name of the registry or of a path.

    Raises:
        WeightsError: the name is unknown or the file is absent.
    """
    entry = REGISTRY.get(str(weights))
    if entry is not None:
        path = entry.source.locate()
        if path is None:
            raise WeightsError(
                f"weights {str(weights)!r} are not on this machine: {entry.source.advice()}"
            )
        return path
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    raise WeightsError(
        f"weights {str(weights)!r} are neither a known name nor a file: known are "
        f"{', '.join([*REGISTRY, 'tiny'])}"
    )


def verify(name: str) -> str:
    """Return the SHA-256 of a registered file after comparing it with the registry.

    Raises:
        WeightsError: the name is unknown, the file is absent, or it differs.
    """
    if name not in REGISTRY:
        raise WeightsError(f"weights {name!r} are unknown: known are {', '.join(REGISTRY)}")
    path = find(name)
    digest = sha256(path)
    _compare(name, path, digest, REGISTRY[name].sha256)
    return digest


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(name: str, path: Path, digest: str, expected: str) -> None:
    if expected and digest != expected:
        raise WeightsError(
            f"weights {name!r} at {path} were altered: SHA-256 is {digest}, expected {expected}. "
            "Install them again"
        )
