"""Find a recipe by its name, and read it back from a file."""

from collections.abc import Mapping
from typing import Any

from samdomain.errors import InputError
from samdomain.recipes.recipe import Recipe
from samdomain.recipes.sam import Promptable
from samdomain.recipes.sam_sp import SamSP
from samdomain.recipes.samed import SAMed
from samdomain.recipes.samlp import SamLP

Kind = Promptable | SamLP | SamSP | SAMed

_ALL: tuple[type[Kind], ...] = (Promptable, SamLP, SamSP, SAMed)

RECIPES: Mapping[str, type[Kind]] = {one.name: one for one in _ALL}
"""Recipes of the core by name; those of a domain are in `samdomain.domain(name).recipes()`."""


def preset(name: str, which: str = "recommended") -> Recipe:
    """Return a recipe as its paper or its code has it, or as we advise.

    Args:
        name: name in `RECIPES`.
        which: "recommended", "paper", or "official" where code was published that differs. To
            change more, use `dataclasses.replace`.

    Raises:
        InputError: the recipe or the preset is unknown.
    """
    presets = _kind(name).presets()
    if which not in presets:
        raise InputError(f"{name!r} has no preset {which!r}: it has {', '.join(presets)}")
    return presets[which]


def read_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """Read a recipe back from its name and `to_json`, as an adapter's card holds them.

    Raises:
        InputError: the recipe or a field is unknown to this release.
    """
    return _kind(name).from_json(values)


def _kind(name: str) -> type[Kind]:
    if name not in RECIPES:
        raise InputError(f"recipe {name!r} is unknown: known are {', '.join(RECIPES)}")
    return RECIPES[name]
