"""The one walk over a model's modules: match them by name, swap, grow and freeze them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeVar, cast

from torch import Tensor, nn

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


def grown(module: nn.Module, kind: type[Kind]) -> Kind:
    """Return a module of a subclass that shares all of a module's parts.

    Parameters, buffers and submodules are the same objects under the same names, so that the
    new module has the old one's keys; what is added to it afterwards is not added to the old one.

    Args:
        module: module to stand in for; it is not changed.
        kind: subclass of the module's own class. Its constructor is not called.

    Raises:
        InputError: the kind is not a subclass, and might compute something else.
    """
    if not issubclass(kind, type(module)):
        raise InputError(
            f"a {kind.__name__} cannot stand for a {type(module).__name__}: give a subclass of "
            "it; an injected module has to be merged first"
        )
    new = kind.__new__(kind)
    new.__dict__ = {
        name: value.copy() if isinstance(value, dict | set) else value
        for name, value in vars(module).items()
    }
    return new


def convolution_with(like: nn.Conv2d, weight: Tensor) -> nn.Conv2d:
    """Return a plain convolution with another weight, and the bias and settings of a given one.

    Args:
        like: convolution of any subclass; it is not changed.
        weight: (out, in / groups, rows, columns); "in" may be another number than before.
    """
    settings: Any = like  # torch types as lists what it takes as pairs
    plain = nn.Conv2d(
        weight.shape[1] * like.groups,
        weight.shape[0],
        kernel_size=cast(tuple[int, int], tuple(weight.shape[2:])),
        stride=settings.stride,
        padding=settings.padding,
        dilation=settings.dilation,
        groups=like.groups,
        bias=like.bias is not None,
        padding_mode=settings.padding_mode,
        device="meta",
    )
    plain.weight = nn.Parameter(weight, requires_grad=like.weight.requires_grad)
    plain.bias = like.bias
    return plain


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
