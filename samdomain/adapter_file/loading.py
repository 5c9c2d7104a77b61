"""Read an adapter folder, prove that it is whole, and put it onto its base."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from samdomain.adapter_file.description import PEFT_TENSORS, TENSOR_FILES, TENSORS, Adapter
from samdomain.adapter_file.saving import DESCRIPTION, HEAD, PEFT_CONFIG
from samdomain.errors import InputError, WeightsError
from samdomain.injection import injections, undone_on_error
from samdomain.lora.peft_layout import peft_covers
from samdomain.lora.peft_reading import fill_from_peft, from_peft
from samdomain.modules import freeze
from samdomain.sam import Sam, SamSpec
from samdomain.weights import load_sam, sha256

# Keys that a message names, so that it stays one line.
_NAMED = 3


@dataclass(frozen=True, eq=False)
class LoadedAdapter:
    """A base with an adapter on it.

    Attributes:
        sam: the adapted model, on the CPU and in eval mode.
        adapter: what the adapter says of itself; None for a folder that peft wrote.
        head: a recipe's own tensors, by their names in its head.
    """

    sam: Sam
    adapter: Adapter | None
    head: Mapping[str, Tensor]


def read_adapter(folder: str | Path) -> Adapter:
    """Read what an adapter says of itself, without its tensors or its base.

    Raises:
        InputError: the folder holds no adapter, or one of a newer release.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise InputError(
            f"{folder} is no adapter folder: it has no {DESCRIPTION}; "
            "samdomain adapter list names those that are installed"
        )
    return Adapter.from_json(_read_json(path))


def load_adapter(folder: str | Path, sam: Sam | None = None) -> LoadedAdapter:
    """Put an adapter onto its base, ready to run or to train on.

    What the adapter trained trains again, everything else is frozen. Nothing is downloaded.

    Args:
        folder: folder that `save_adapter` wrote, or peft for a model of ours.
        sam: base to put it onto, in itself; by default the base that the adapter names is
            loaded. A folder that peft wrote names none. It is as it was where this raises.

    Raises:
        InputError: the folder is incomplete, altered, or belongs to another base; the message
            says what to do.
        WeightsError: the base is not on this machine.
    """
    folder = Path(folder)
    if not (folder / DESCRIPTION).exists() and (folder / PEFT_CONFIG).exists():
        return _load_from_peft(folder, sam)
    adapter = read_adapter(folder)
    _check_files(adapter, folder)
    base = _load_base(adapter) if sam is None else sam
    _check_base(adapter, base, folder)
    state = _read(folder / TENSORS) if TENSORS in adapter.files else {}
    head = {k.removeprefix(HEAD): one for k, one in state.items() if k.startswith(HEAD)}
    own = {name: one for name, one in state.items() if not name.startswith(HEAD)}
    with undone_on_error(base):
        freeze(base)
        for injection in adapter.injections:
            injection(base)
        if PEFT_TENSORS in adapter.files:
            fill_from_peft(base, _read(folder / PEFT_TENSORS), _read_json(folder / PEFT_CONFIG))
        elif peft_covers(base):
            raise InputError(f"{folder} lacks {PEFT_TENSORS}: get the adapter again")
        _apply(base, own, folder)
        # A recipe may have taught prompts that the base does not know; what the file says holds.
        base.spec = _taught(base.spec, adapter.spec)
    return LoadedAdapter(base.eval(), adapter, head)


def _load_base(adapter: Adapter) -> Sam:
    return load_sam(adapter.base.name, input_size=adapter.spec.input_size)


def _taught(spec: SamSpec, adapted: SamSpec) -> SamSpec:
    """Return a spec with what training teaches of prompts."""
    return replace(spec, prompts=adapted.prompts, alternatives=adapted.alternatives)


def _check_base(adapter: Adapter, sam: Sam, folder: Path) -> None:
    base = adapter.base
    if injections(sam):
        raise InputError("the model is adapted already: load its base again, or merge it first")
    if (sam.spec.name, sam.weights_sha256) != (base.name, base.sha256):
        raise InputError(
            f"the adapter {folder} belongs to {base.name!r} (SHA-256 {base.sha256[:12]}...), this "
            f"model is {sam.spec.name!r} ({sam.weights_sha256[:12]}...): load that base"
        )
    spec = sam.spec
    for injection in adapter.injections:
        spec = injection.adapted_spec(spec)
    if _taught(spec, adapter.spec) != adapter.spec:
        raise InputError(
            f"the adapter {folder} was trained for {adapter.spec}, but with it this model is "
            f"{spec}: load the base with input_size={adapter.spec.input_size}"
        )


def _check_files(adapter: Adapter, folder: Path) -> None:
    for name, digest in adapter.files.items():
        _check_file(folder / name, digest)
    for name in sorted(TENSOR_FILES - adapter.files.keys()):
        if (folder / name).exists():
            raise InputError(
                f"{folder / name} is there but not in {DESCRIPTION}, which was altered: get the "
                "adapter again"
            )


def _check_file(path: Path, digest: str) -> None:
    pickled = path.with_suffix(".bin")
    if not path.is_file() and pickled.exists():
        raise WeightsError(
            f"{pickled} is a pickle, which could run code: get the adapter as {path.name}"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing: get the adapter again")
    try:
        found = sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise WeightsError(f"{path} was cut off or altered: get the adapter again")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path} is no safetensors file, it may be cut off or a pickle: {error}"
        ) from error


def _apply(sam: Sam, state: Mapping[str, Tensor], folder: Path) -> None:
    """Copy an adapter's tensors into a model that its injections stand in."""
    current = sam.state_dict()
    added = {key for record in injections(sam) for key in record.added} - peft_covers(sam)
    if missing := sorted(added - state.keys()):
        raise InputError(f"{folder} lacks {_told(missing)}: get the adapter again")
    if unexpected := sorted(state.keys() - current.keys()):
        raise InputError(
            f"{folder} holds {_told(unexpected)}, which {sam.spec.name!r} does not have: "
            "is it an adapter of another base?"
        )
    for name, tensor in state.items():
        if tensor.shape != current[name].shape:
            raise InputError(
                f"{folder}: {name!r} is {tuple(tensor.shape)}, the model's is "
                f"{tuple(current[name].shape)}: the adapter has another rank or another base"
            )
    sam.load_state_dict(dict(state), strict=False)
    for name, parameter in sam.named_parameters():
        if name in state:
            parameter.requires_grad_(True)


def _told(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


def _load_from_peft(folder: Path, sam: Sam | None) -> LoadedAdapter:
    if sam is None:
        raise InputError(
            f"{folder} was written by peft, which names no base: pass the model that it belongs "
            "to, as load_adapter(folder, load_sam('sam_vit_b'))"
        )
    if injections(sam):
        raise InputError("the model is adapted already: load its base again, or merge it first")
    path = folder / PEFT_TENSORS
    if not path.is_file() and path.with_suffix(".bin").exists():
        raise WeightsError(
            f"{path.with_suffix('.bin')} is a pickle, which could run code: save the adapter "
            "again with safe_serialization=True"
        )
    with undone_on_error(sam):
        from_peft(sam, _read(path), _read_json(folder / PEFT_CONFIG))
    return LoadedAdapter(sam.eval(), None, {})


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): get the adapter again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}): get the adapter again") from error
    if not isinstance(values, Mapping):
        raise InputError(f"{path} holds no object with names: get the adapter again")
    return values
