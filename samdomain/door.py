"""The one door for plugins, ours included: the entry point group `samdomain.domains`."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from samdomain.errors import InputError, MissingExtraError

GROUP = "samdomain.domains"


@runtime_checkable
class Report(Protocol):
    """What a verb returns: a result that can tell of itself."""

    def summary(self) -> Mapping[str, Any]:
        """Return what a person or a script wants to know, as values that JSON can hold."""
        ...


class Facts(dict[str, Any]):
    """A report that is nothing but its facts."""

    def summary(self) -> Mapping[str, Any]:
        """Return the facts."""
        return self


Verb = Callable[..., Report]


@runtime_checkable
class Domain(Protocol):
    """A field that SAM is adapted to: its verbs, recipes and shipped files.

    A third party joins by an entry point in the group `samdomain.domains` that names an
    object of this shape.
    """

    name: str

    def verbs(self) -> Mapping[str, Verb]:
        """Return the functions that become commands; their signatures become flags."""
        ...

    def recipes(self) -> Mapping[str, type]:
        """Return the domain's own recipes by name."""
        ...

    def adapters(self) -> Path:
        """Return the folder of shipped adapters; it may be absent."""
        ...

    def configs(self) -> Path:
        """Return the folder of shipped training configs; it may be absent."""
        ...


def domains() -> tuple[str, ...]:
    """List the installed domains by name, without loading any."""
    return tuple(sorted(_entry_points()))


def domain(name: str) -> Domain:
    """Load a domain.

    Raises:
        InputError: no installed domain has the name.
        MissingExtraError: a library that the domain needs is not installed.
    """
    points = _entry_points()
    if name not in points:
        raise InputError(
            f"domain {name!r} is not installed: installed are {', '.join(sorted(points)) or 'none'}"
        )
    point = points[name]
    own_package = point.module.split(".", maxsplit=1)[0]
    try:
        return point.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".", maxsplit=1)[0]
        # A module of our own that is missing is a bug, not an extra to install.
        if missing in {"", "samdomain", own_package}:
            raise
        raise MissingExtraError(f"domain {name!r} needs {missing}: {_install(point)}") from error


def packages() -> set[str]:
    """Return the import packages of the installed domains, without loading any."""
    return {point.module.split(".", maxsplit=1)[0] for point in _entry_points().values()}


def _install(point: Any) -> str:
    distribution = point.dist.name if point.dist is not None else point.module
    if distribution == "samdomain":
        return f"pip install 'samdomain[{point.name}]'"
    return f"install it, or reinstall {distribution}"


def _entry_points() -> dict[str, Any]:
    # Once a library has imported the backport importlib_metadata, they are of its own class.
    return {point.name: point for point in entry_points(group=GROUP)}
