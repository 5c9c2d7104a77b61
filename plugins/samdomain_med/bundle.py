"""MONAI bundles that ship without weights, and their copies with those of an adapter."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from samdomain.adapter_file import Adapter, read_adapter
from samdomain.adapter_file.saving import CARD, DESCRIPTION, PEFT_CONFIG
from samdomain.adapter_file.shipped import find_adapter
from samdomain.errors import InputError
from samdomain.recipes import preset
from samdomain.whole_file import whole_folder, writing
from samdomain_med.network import SamSegmenter

BUNDLES = Path(__file__).parent / "bundles"
"""Folder of the shipped bundles."""

WEIGHTS = Path("models") / "model.pt"
"""Where the weights of a bundle stand, in its folder."""

METADATA = Path("configs") / "metadata.json"

_NETWORK = "network_def"
_CONFIGS = (Path("configs") / "train.json", Path("configs") / "inference.json")
_MEANING = ("$", "@", "%")  # what MONAI reads as code, as a reference, and as a file


def find_bundle(name: str) -> Path:
    """Return the folder of a shipped bundle.

    Raises:
        InputError: no bundle has the name.
    """
    shipped = {path.parents[1].name: path.parents[1] for path in BUNDLES.glob(f"*/{METADATA}")}
    if name not in shipped:
        raise InputError(f"there is no bundle {name!r}: shipped are {', '.join(sorted(shipped))}")
    return shipped[name]


def write_bundle(name: str, adapter: str | Path, out: Path, *, overwrite: bool = False) -> Path:
    """Write a copy of a shipped bundle with the weights of an adapter, whole or not at all.

    `models/` then holds `model.pt`, a state dict of base and adapter, and the adapter's own
    files. The network of the configs is what the adapter was trained as, and the metadata tell
    its figures.

    Args:
        name: name of the bundle.
        adapter: folder of an adapter of the bundle's recipe, or name of a shipped one.
        out: folder to write.
        overwrite: replace a bundle that stands there.

    Returns:
        The file of the weights.

    Raises:
        InputError: the adapter is of another recipe, or the folder holds something else.
        WeightsError: the adapter's base is not on this machine.
        StoppedError: the disk is full.
    """
    bundle, folder = find_bundle(name), find_adapter(adapter)
    _check_free(out, overwrite=overwrite)
    described = read_adapter(folder)
    configs = {path: _read(bundle / path) for path in _CONFIGS}
    words = {path: _network(one[_NETWORK], described, folder) for path, one in configs.items()}
    state = _state(words[_CONFIGS[-1]], folder)
    metadata = _read(bundle / METADATA)
    metadata["eval_metrics"] = _harmless(dict(described.card.metrics), folder)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as scratch:
            shutil.copytree(bundle, scratch, dirs_exist_ok=True)
            for path, config in configs.items():
                _write(config | {_NETWORK: words[path]}, scratch / path)
            _write(metadata, scratch / METADATA)
            (scratch / WEIGHTS.parent).mkdir(exist_ok=True)
            torch.save(state, scratch / WEIGHTS)
            for file in (DESCRIPTION, CARD, PEFT_CONFIG, *described.files):
                if (folder / file).is_file():
                    shutil.copy(folder / file, scratch / WEIGHTS.parent / file)
    return out / WEIGHTS


def _network(words: Mapping[str, Any], adapter: Adapter, folder: Path) -> dict[str, Any]:
    """Return a bundle's words for its network, changed to those of an adapter."""
    card = adapter.card
    if card.recipe != words["recipe"]:
        raise InputError(
            f"{folder} is of recipe {card.recipe!r}, the bundle of {words['recipe']!r}: give an "
            "adapter that was trained by it"
        )
    if card.value_range is not None:
        raise InputError(
            f"{folder} was trained on values of a range of its own, {list(card.value_range)}, "
            "which the bundle does not know: train it on images of eight bits"
        )
    usual = preset(card.recipe, words["preset"]).to_json()
    own = {
        "weights": adapter.base.name,
        "input_size": adapter.spec.input_size,
        "options": {key: one for key, one in card.options.items() if one != usual.get(key)},
        "temperature": card.temperature,
    }
    return {**words, **_harmless(own, folder)}


def _state(words: Mapping[str, Any], folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of base and adapter, once the config's own network has taken them."""
    named = {key: one for key, one in words.items() if not key.startswith("_")}
    adapted = SamSegmenter(**{**named, "pretrained": True, "adapter": str(folder)})
    state = {key: one.detach().contiguous().clone() for key, one in adapted.state_dict().items()}
    SamSegmenter(**{**named, "pretrained": False}).load_state_dict(state)
    return state


def _harmless(values: Any, folder: Path) -> Any:
    """Return values as JSON has them, none of which MONAI would run when it reads them.

    An adapter may come from anyone, and a config with code in it is run by whoever trusts the
    bundle.
    """
    if isinstance(values, Mapping):
        return {_harmless(key, folder): _harmless(one, folder) for key, one in values.items()}
    if isinstance(values, list | tuple):
        return [_harmless(one, folder) for one in values]
    if isinstance(values, str) and (values.startswith("_") or any(c in values for c in _MEANING)):
        raise InputError(
            f"{folder} has {values!r} in {DESCRIPTION}, which MONAI could run as code: names must "
            f"not begin with _, nor hold {' '.join(_MEANING)}"
        )
    return values


def _check_free(out: Path, *, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / METADATA).is_file():
        raise InputError(f"{out} holds something that is no bundle: give another --out")
    if not overwrite:
        raise InputError(f"{out} holds a bundle: give another --out, or --overwrite")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(values: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
