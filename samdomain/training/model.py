"""Put an adapter onto its base, with the recipe that knows how to ask it."""

from dataclasses import dataclass
from pathlib import Path

from samdomain.adapter_file import load_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.recipes import Recipe, read_recipe
from samdomain.sam import SamLike
from samdomain.training.command import Command
from samdomain.training.data import Samples

BASE = "none"
"""What `--adapter` says for the base as it is."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model that can be asked.

    Attributes:
        sam: the model, with cached features where the config wants them.
        recipe: the recipe that it was adapted by.
        data: the config's data.
        value_range: lowest and highest value of a pixel, as in training; see `samdomain.encode`.
    """

    sam: SamLike
    recipe: Recipe
    data: Samples
    value_range: tuple[float, float] | None = None


def adapted(command: Command, adapter: str | Path) -> Adapted:
    """Load what a config and an adapter say.

    Args:
        command: names base, recipe and data.
        adapter: folder or name of an adapter, or "none". Its own recipe is used, where it names
            one.

    Raises:
        InputError: the adapter does not fit, or is of a recipe that is not installed.
    """
    built = command.build(command.seeds()[0])
    module, recipe = built.module, built.module.recipe
    value_range: tuple[float, float] | None = None
    if str(adapter) != BASE:
        loaded = load_adapter(find_adapter(adapter), module.sam)
        card = loaded.adapter.card if loaded.adapter else None
        if card and card.recipe:
            recipe = read_recipe(card.recipe, card.options)
        if card and card.value_range:
            value_range = card.value_range[0], card.value_range[1]
    module.to(command.device())
    module.sam.eval()
    return Adapted(module.view(), recipe, built.data, value_range)
