"""Write a plain checkpoint, in the layout that the base was published in."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from samdomain.backbones import BACKBONES, recognise
from samdomain.errors import InputError
from samdomain.injection import injections
from samdomain.sam import Sam
from samdomain.whole_file import whole_file, writing

_SUFFIXES = (".pth", ".pt", ".safetensors")


def write_checkpoint(sam: Sam, path: Path, *, overwrite: bool = False) -> None:
    """Write a model's weights under the names that its publisher gives them.

    segment-anything loads the file of a SAM ViT. That of a TinyViT has the names of MobileSAM's
    and LiteMedSAM's files but no classification head, which SAM never runs and their own code
    asks for: `load_sam` loads it.

    Args:
        sam: model of the base's own modules; see `samdomain.injection.merge`.
        path: file to write, .pth, .pt or .safetensors.
        overwrite: replace a file that stands there.

    Raises:
        InputError: the suffix is unknown, the file exists or cannot be written, or the model is
            not of the base's own modules, or takes other bands than published weights do.
        StoppedError: the disk is full; an earlier file is as it was.
    """
    check_target(path, overwrite=overwrite)
    state = _plain(sam)
    tensors = {name: one.detach().cpu().contiguous().clone() for name, one in state.items()}
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, durable=True) as scratch:
            if path.suffix == ".safetensors":
                save_file(tensors, scratch, {"format": "pt"})
            else:
                _save(tensors, scratch)


def check_target(path: Path, suffixes: Sequence[str] = _SUFFIXES, *, overwrite: bool) -> None:
    """Refuse a file that could not be written, before any work.

    Args:
        path: file to write.
        suffixes: what its name may end in; by default as `write_checkpoint` takes it.
        overwrite: whether a file may stand there.

    Raises:
        InputError: the suffix is unknown, or something stands there.
    """
    if path.suffix not in suffixes:
        raise InputError(f"{path} has suffix {path.suffix!r}: allowed are {', '.join(suffixes)}")
    with writing(path):
        if path.is_dir():
            raise InputError(f"{path} is a folder: give a file")
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists: give another file, or --overwrite")


def _plain(sam: Sam) -> dict[str, Tensor]:
    if records := injections(sam):
        kinds = ", ".join(record.injection.kind for record in records)
        raise InputError(f"the model still holds {kinds}: merge it first")
    published = {one.spec.input_channels for one in BACKBONES.values()}
    if sam.spec.input_channels not in published:
        raise InputError(
            f"the model takes {sam.spec.input_channels} bands, plain checkpoints take "
            f"{', '.join(map(str, sorted(published)))} and say nothing of others, so that nothing "
            "would load it: keep it as base and adapter"
        )
    state = sam.state_dict()
    return recognise(state).write(state)


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    with path.open("wb") as file:
        try:
            torch.save(tensors, file)
        except RuntimeError as error:
            # torch's writer ends with an error of its own, which hides the file's.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
