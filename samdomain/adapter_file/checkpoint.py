"""Write a plain checkpoint, in the layout that the base was published in."""

import os
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from samdomain.backbones import BACKBONES
from samdomain.errors import InputError
from samdomain.sam import Sam

_SUFFIXES = (".pth", ".pt", ".safetensors")


def write_checkpoint(sam: Sam, path: Path, *, overwrite: bool = False) -> None:
    """Write a model's weights as its publisher does, so that other programs load them.

    A SAM ViT loads in segment-anything, a TinyViT in MobileSAM's or LiteMedSAM's code.

    Args:
        sam: model of the base's own modules; see `samdomain.injection.merge`.
        path: file to write, .pth or .safetensors.
        overwrite: replace a file that stands there.

    Raises:
        InputError: the suffix is unknown, the file exists, or it cannot be written.
    """
    if path.suffix not in _SUFFIXES:
        raise InputError(f"{path} has suffix {path.suffix!r}: allowed are {', '.join(_SUFFIXES)}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists: give another file, or --overwrite")
    state = BACKBONES[sam.spec.name].write(sam.state_dict())
    tensors = {name: one.detach().cpu().contiguous().clone() for name, one in state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    try:
        if path.suffix == ".safetensors":
            save_file(tensors, scratch, {"format": "pt"})
        else:
            torch.save(tensors, scratch)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    finally:
        Path(scratch).unlink(missing_ok=True)
