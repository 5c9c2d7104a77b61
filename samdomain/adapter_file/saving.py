"""Write an adapter folder, whole or not at all."""

import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from samdomain.adapter_file.description import Adapter, AdapterCard, Base
from samdomain.adapter_file.model_card import model_card
from samdomain.errors import InputError
from samdomain.injection import adapted_state, injections
from samdomain.lora.peft_layout import peft_covers
from samdomain.lora.peft_writing import to_peft
from samdomain.sam import Sam
from samdomain.weights import sha256

DESCRIPTION = "samdomain.json"
TENSORS = "samdomain.safetensors"
PEFT_TENSORS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
CARD = "README.md"

HEAD = "head."
"""What the keys of a recipe's own parameters begin with, in the file of tensors."""


def save_adapter(
    sam: Sam,
    folder: str | Path,
    card: AdapterCard | None = None,
    *,
    head: nn.Module | None = None,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
) -> Adapter:
    """Write what tells an adapted model from its base, a few MB, into a folder.

    LoRA goes into the two files that peft writes, in peft's own format; everything else goes
    into `samdomain.safetensors`. `samdomain.json` and the model card `README.md` say what it is.

    Args:
        sam: adapted model.
        folder: folder to write; its parent is made where it is missing.
        card: what is known of the training.
        head: a recipe's own parameters, kept beside the model's.
        dtype: data type of the tensors in the files, as torch.float16; as they are by default.
        overwrite: replace an adapter that stands there.

    Returns:
        Adapter: the description that was written.

    Raises:
        InputError: nothing in the model was adapted, the folder holds something already, or
            cannot be written.
    """
    folder = Path(folder)
    state = adapted_state(sam)
    if not state and head is None:
        raise InputError(
            f"{sam.spec.name!r} is as its base: inject something or let parameters train first"
        )
    _check_free(folder, overwrite=overwrite)
    covered = peft_covers(sam)
    lora, config = to_peft(sam) if covered else ({}, {})
    tensors = {name: one for name, one in state.items() if name not in covered}
    tensors |= {f"{HEAD}{name}": one for name, one in _state(head).items()}
    scratch = _scratch(folder)
    try:
        if lora:
            _write(lora, scratch / PEFT_TENSORS, dtype)
            (scratch / PEFT_CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        if tensors:
            _write(tensors, scratch / TENSORS, dtype)
        files = {path.name: sha256(path) for path in sorted(scratch.glob("*.safetensors"))}
        adapter = Adapter(
            card=card or AdapterCard(),
            base=Base(sam.spec.name, sam.weights_sha256),
            spec=sam.spec,
            injections=tuple(record.injection for record in injections(sam)),
            files=files,
            version=version("samdomain"),
        )
        (scratch / CARD).write_text(model_card(adapter, lora=len(lora), others=sorted(tensors)))
        (scratch / DESCRIPTION).write_text(json.dumps(adapter.to_json(), indent=2) + "\n")
        _publish(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return adapter


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder} holds something that is no adapter: give another folder")
    if not overwrite:
        raise InputError(f"{folder} holds an adapter: give another folder, or overwrite=True")


def _scratch(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error


def _publish(scratch: Path, folder: Path) -> None:
    """Put the finished folder in the place of an earlier one, which is gone last."""
    scratch.chmod(0o755)  # mkdtemp's is for the owner only
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        if folder.exists():
            folder.rename(old / "was")
        scratch.rename(folder)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _state(head: nn.Module | None) -> dict[str, Tensor]:
    return {} if head is None else head.state_dict()


def _write(tensors: dict[str, Tensor], path: Path, dtype: torch.dtype | None) -> None:
    def stored(tensor: Tensor) -> Tensor:
        one = tensor.detach().cpu()
        return (one.to(dtype) if dtype and one.is_floating_point() else one).contiguous().clone()

    save_file({name: stored(one) for name, one in tensors.items()}, path, {"format": "pt"})
