"""Find a recipe by its name, and read it back from a file."""

from collections.abc import Mapping
from typing import Any

from samdomain.door import domain, domains
from samdomain.errors import InputError, MissingExtraError
from samdomain.recipes.recipe import Recipe
from samdomain.recipes.sam import Promptable
from samdomain.recipes.sam_clip import SamCLIP
from samdomain.recipes.sam_sp import SamSP
from samdomain.recipes.samed import SAMed
from samdomain.recipes.samlp import SamLP
from samdomain.recipes.wesam import WeSAM

RECIPES: Mapping[str, type[Promptable | SamLP | SamSP | SAMed | WeSAM]] = {
    one.name: one for one in (Promptable, SamLP, SamSP, SAMed, WeSAM)
}
"""Recipes of the core by name; see `known_recipes` for those of the domains too."""


def known_recipes() -> dict[str, Any]:
    """Return the recipes of the core and of the domains that are installed, by name."""
    found: dict[str, Any] = dict(RECIPES)
    for name in domains():
        try:
            found |= domain(name).recipes()
        except MissingExtraError:
            continue
    return found


def preset(name: str, which: str = "recommended") -> Recipe:
    """Return a recipe as its paper or its code has it, or as we advise.

    Args:
        name: name in `known_recipes`.
        which: "recommended", "paper", or "official" where code was published that differs. To
            change more, use `dataclasses.replace`.

    Raises:
        InputError: the recipe or the preset is unknown, or the recipe is built in Python alone.
    """
    presets = _kind(name).presets()
    if which not in presets:
        raise InputError(f"recipe {name!r} has no preset {which!r}: it has {', '.join(presets)}")
    return presets[which]


def read_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """Read a recipe back from its name and `to_json`, as an adapter's card holds them.

    Raises:
        InputError: the recipe or a field is unknown to this release, or the recipe is built in
            Python alone.
    """
    return _kind(name).from_json(values)


def _kind(name: str) -> Any:
    if name == SamCLIP.name:
        raise InputError(
            f"recipe {name!r} needs its teacher, a function that no file holds: give prompts "
            "(samdomain segment --prompts), or ask in Python: load_adapter(FOLDER).sam has the "
            "image_features of samdomain.features, and zero_shot_semantic finds classes in them"
        )
    known = known_recipes()
    if name not in known:
        raise InputError(f"recipe {name!r} is unknown: known are {', '.join(known)}")
    return known[name]
