"""The one walk over a model's modules: match them by name, swap them, freeze them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TypeVar

from torch import nn

from samdomain.errors import InputError

Kind = TypeVar("Kind", bound=nn.Module)


def match(root: nn.Module, patterns: Iterable[str], kind: type[Kind]) -> dict[str, Kind]:
    """Find modules by name and kind.

    Args:
        root: model to search.
        patterns: shell patterns over dotted names, as "image_encoder.*.attn.qkv"; "*" crosses
            dots. Every one must match.
        kind: class that a matched module must have.

    Returns:
        dict: matched modules by their dotted name, in the model's order.

    Raises:
        InputError: a pattern matches no module of the kind.
    """
    modules = {name: m for name, m in root.named_modules() if isinstance(m, kind)}
    found: set[str] = set()
    for pattern in patterns:
        names = {name for name in modules if fnmatchcase(name, pattern)}
        if not names:
            raise _no_match(pattern, f"{kind.__name__} module", modules)
        found |= names
    return {name: module for name, module in modules.items() if name in found}


def swap(root: nn.Module, name: str, new: nn.Module) -> None:
    """Put another module in the place of a named one, in the model itself.

    Raises:
        InputError: the model has no module of that name.
    """
    parent, _, child = name.rpartition(".")
    holder = dict(root.named_modules()).get(parent)
    if holder is None or child not in dict(holder.named_children()):
        raise _no_match(name, "module", dict(root.named_modules()))
    setattr(holder, child, new)


def freeze(root: nn.Module, patterns: Iterable[str] = ("*",), *, frozen: bool = True) -> list[str]:
    """Stop parameters from training, or let them train again, in the model itself.

    Args:
        root: model whose parameters are set.
        patterns: shell patterns over dotted parameter names; every one must match.
        frozen: False lets the parameters train.

    Returns:
        list: names of the matched parameters, in the model's order.

    Raises:
        InputError: a pattern matches no parameter.
    """
    parameters = dict(root.named_parameters())
    matched: set[str] = set()
    for pattern in patterns:
        names = {name for name in parameters if fnmatchcase(name, pattern)}
        if not names:
            raise _no_match(pattern, "parameter", parameters)
        matched |= names
    touched = [name for name in parameters if name in matched]
    for name in touched:
        parameters[name].requires_grad_(not frozen)
    return touched


def _no_match(pattern: str, sort: str, names: Iterable[str]) -> InputError:
    listed = list(names)
    shown = ", ".join(repr(name) for name in listed[1:4])
    return InputError(
        f"{pattern!r} matches no {sort}: there are {len(listed)}, as {shown}; "
        "list them with named_modules() or named_parameters()"
    )
