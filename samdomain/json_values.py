"""Check values that come from a file against the types that a class states."""

from collections.abc import Callable, Mapping, Sequence, Set
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from samdomain.errors import InputError


def check_values(kind: type, values: Mapping[str, Any]) -> None:
    """Refuse values that are not of the types of a dataclass's fields.

    Numbers, texts, lists and objects are told apart as JSON does it: a list stands for every
    sequence and set, a whole number for a float too. Names without a field are left alone.

    Args:
        kind: dataclass that is to be made of the values.
        values: values by the name of their field.

    Raises:
        InputError: one is of another type; the message says of which it has to be.
    """
    stated = get_type_hints(kind)
    for name, value in values.items():
        if name in stated and not _fits(value, stated[name]):
            told = getattr(stated[name], "__name__", stated[name])
            raise InputError(f"{name} is {value!r}, expected is {told}")


def _fits(value: Any, stated: Any) -> bool:
    if stated in _PLAIN:
        return _PLAIN[stated](value)
    origin, inner = get_origin(stated), get_args(stated)
    if origin in {Union, UnionType}:
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if not isinstance(origin, type) or not issubclass(origin, Mapping | Sequence | Set):
        return True  # nothing that JSON could hold: the class itself has to look at it
    if issubclass(origin, Mapping):  # names are always text in JSON
        return isinstance(value, Mapping) and all(_fits(one, inner[1]) for one in value.values())
    listed = isinstance(value, Sequence | Set) and not isinstance(value, str)
    return listed and all(_fits(one, inner[0]) for one in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLAIN: Mapping[Any, Callable[[Any], bool]] = {
    Any: lambda _: True,
    bool: lambda value: isinstance(value, bool),
    int: _is_whole,
    float: lambda value: _is_whole(value) or isinstance(value, float),
    str: lambda value: isinstance(value, str),
    NoneType: lambda value: value is None,
}
