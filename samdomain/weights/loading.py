"""Find weights, prove that they are the right ones, and load them."""

import hashlib
from pathlib import Path

import torch

from samdomain.backbones import BACKBONES, recognise
from samdomain.errors import WeightsError
from samdomain.sam import Sam, SamSpec
from samdomain.weights.pins import expected_digest
from samdomain.weights.reading import read_state
from samdomain.weights.registry import REGISTRY, Weights

DEFAULT = "litemedsam"

# Random weights are made, not found; a fixed seed makes every "tiny" the same.
_TINY_SEED = 0


def load_sam(weights: str | Path = DEFAULT, *, input_size: int | None = None) -> Sam:
    """Build a SAM and load its weights, on the CPU and in eval mode.

    Nothing is downloaded: see `samdomain weights fetch`.

    A file that is given by its path is taken to expect what the published weights of its
    architecture expect. Where that is not so (MedSAM has SAM's ViT-B, but takes boxes only, and
    values that are scaled to 0..1), replace the spec: `sam.spec = replace(sam.spec, ...)`.

    Args:
        weights: a name of the registry (`litemedsam`, `mobile_sam`, `sam_vit_b`, `sam_vit_l`,
            `sam_vit_h`), `tiny` for a small model with random weights, or the path of a
            checkpoint in any layout of the catalogue: .safetensors, or a .pth that holds
            tensors only.
        input_size: side of the encoder's square input in pixels, a multiple of the embedding's
            stride (16 of ViT and MobileSAM, 4 of LiteMedSAM); the size that the weights were
            trained at by default. Smaller is faster; away from the trained size the masks get
            worse unless the model is trained further.

    Raises:
        WeightsError: the name is unknown, the file is absent, differs from its digest, holds
            code, or fits no architecture.
        InputError: the input size does not suit the weights.
    """
    if weights == "tiny":
        backbone = BACKBONES["tiny"]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_TINY_SEED)
            return backbone.build(_sized(backbone.spec, input_size)).eval()
    path = find(weights)
    digest = sha256(path)
    entry = REGISTRY.get(str(weights))
    if entry is not None:
        _compare(str(weights), path, digest, entry)
    state = read_state(path)
    backbone = recognise(state) if entry is None else entry.backbone
    sam = backbone.build(_sized(backbone.spec, input_size))
    try:
        sam.load_state_dict(backbone.read(state))
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not hold {backbone.spec.name!r}: {' '.join(str(error).split())[:300]}"
        ) from error
    sam.weights_sha256 = digest
    return sam.eval()


def build_sam(weights: str = DEFAULT, *, input_size: int | None = None) -> Sam:
    """Build the architecture of known weights with random values, for a state dict to fill.

    Args:
        weights: a name of the registry, or `tiny`; see `load_sam`.
        input_size: see `load_sam`.

    Raises:
        WeightsError: the name is unknown.
        InputError: the input size does not suit the weights.
    """
    backbone = BACKBONES["tiny"] if weights == "tiny" else registered(weights).backbone
    return backbone.build(_sized(backbone.spec, input_size)).eval()


def find(weights: str | Path) -> Path:
    """Return the file of a name of the registry or of a path.

    Raises:
        WeightsError: the name is unknown or the file is absent.
    """
    entry = REGISTRY.get(str(weights))
    if entry is not None:
        path = entry.source.locate()
        if path is None:
            advice = entry.source.advice(str(weights))
            raise WeightsError(f"weights {str(weights)!r} are not on this machine: {advice}")
        return path
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    raise WeightsError(
        f"weights {str(weights)!r} are neither a known name nor a file: known are "
        f"{', '.join([*REGISTRY, 'tiny'])}"
    )


def verify(name: str) -> str:
    """Return the SHA-256 of a registered file after comparing it with the known one.

    Raises:
        WeightsError: the name is unknown, the file is absent, or it differs.
    """
    entry = registered(name)
    path = find(name)
    digest = sha256(path)
    _compare(name, path, digest, entry)
    return digest


def registered(name: str) -> Weights:
    """Return the registry's entry of a name.

    Raises:
        WeightsError: the name is unknown.
    """
    if name not in REGISTRY:
        raise WeightsError(f"weights {name!r} are unknown: known are {', '.join(REGISTRY)}")
    return REGISTRY[name]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sized(spec: SamSpec, input_size: int | None) -> SamSpec:
    return spec if input_size is None else spec.at(input_size)


def _compare(name: str, path: Path, digest: str, entry: Weights) -> None:
    expected = expected_digest(entry)
    if expected and digest != expected:
        raise WeightsError(
            f"weights {name!r} at {path} were altered: SHA-256 is {digest}, expected {expected}. "
            f"Delete the file and get it again: {entry.source.advice(name)}"
        )
