"""Write an adapter folder, whole or not at all."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from samdomain.adapter_file.description import PEFT_TENSORS, TENSORS, Adapter, AdapterCard, Base
from samdomain.adapter_file.model_card import model_card
from samdomain.errors import InputError
from samdomain.injection import adapted_state, injections
from samdomain.lora.peft_layout import peft_covers
from samdomain.sam import Sam
from samdomain.weights import sha256
from samdomain.whole_file import whole_folder, writing

DESCRIPTION = "samdomain.json"
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
        StoppedError: the disk is full; an earlier adapter is as it was.
    """
    folder = Path(folder)
    state = adapted_state(sam)
    if not state and head is None:
        raise InputError(
            f"{sam.spec.name!r} is as its base: inject something or let parameters train first"
        )
    _check_free(folder, overwrite=overwrite)
    covered = peft_covers(sam)
    lora, config = _to_peft(sam) if covered else ({}, {})
    tensors = {name: one for name, one in state.items() if name not in covered}
    tensors |= {f"{HEAD}{name}": one for name, one in _state(head).items()}
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder) as scratch:
            if lora:
                _write(lora, scratch / PEFT_TENSORS, dtype)
                (scratch / PEFT_CONFIG).write_text(json.dumps(config, indent=2) + "\n")
            if tensors:
                _write(tensors, scratch / TENSORS, dtype)
            adapter = _described(sam, card or AdapterCard(), scratch)
            (scratch / CARD).write_text(model_card(adapter, lora=len(lora), others=sorted(tensors)))
            (scratch / DESCRIPTION).write_text(json.dumps(adapter.to_json(), indent=2) + "\n")
    return adapter


def _to_peft(sam: Sam) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from samdomain.lora.peft_writing import to_peft  # noqa: PLC0415 - peft takes seconds to import

    return to_peft(sam)


def _described(sam: Sam, card: AdapterCard, folder: Path) -> Adapter:
    return Adapter(
        card=card,
        base=Base(sam.spec.name, sam.weights_sha256),
        spec=sam.spec,
        injections=tuple(record.injection for record in injections(sam)),
        files={path.name: sha256(path) for path in sorted(folder.glob("*.safetensors"))},
        version=version("samdomain"),
    )


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder} holds something that is no adapter: give another folder")
    if not overwrite:
        raise InputError(f"{folder} holds an adapter: give another folder, or overwrite=True")


def _state(head: nn.Module | None) -> dict[str, Tensor]:
    return {} if head is None else head.state_dict()


def _write(tensors: dict[str, Tensor], path: Path, dtype: torch.dtype | None) -> None:
    def stored(tensor: Tensor) -> Tensor:
        one = tensor.detach().cpu()
        return (one.to(dtype) if dtype and one.is_floating_point() else one).contiguous().clone()

    save_file({name: stored(one) for name, one in tensors.items()}, path, {"format": "pt"})
