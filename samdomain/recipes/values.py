"""Keep recipes as values that JSON can hold."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from samdomain.errors import InputError
from samdomain.injection import Injection

Kind = TypeVar("Kind", bound="Values")


class Values:
    """Give a frozen dataclass `to_json` and `from_json`.

    Its fields are values that JSON can hold, injections, other dataclasses of this kind, or None.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold."""
        return {name: _shown(value) for name, value in vars(self).items()}

    @classmethod
    def from_json(cls: type[Kind], values: Mapping[str, Any]) -> Kind:
        """Read the fields back from `to_json`; those that are missing have their defaults.

        Raises:
            InputError: a field is unknown.
        """
        known = {field.name for field in fields(cls)} if is_dataclass(cls) else set[str]()
        if unknown := values.keys() - known:
            raise InputError(
                f"{cls.__name__} has no field {', '.join(sorted(unknown))}: it has "
                f"{', '.join(sorted(known))}"
            )
        hints = get_type_hints(cls)
        return cls(**{name: _read(hints[name], value) for name, value in values.items()})


def _shown(value: Any) -> Any:
    if isinstance(value, Values | Injection):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


def _read(hint: Any, value: Any) -> Any:
    kinds = [one for one in (hint, *get_args(hint)) if isinstance(one, type)]
    for kind in kinds:
        if issubclass(kind, Values | Injection) and isinstance(value, Mapping):
            return kind.from_json(value)
    return tuple(value) if isinstance(value, list) else value
