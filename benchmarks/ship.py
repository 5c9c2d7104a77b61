"""Put the adapter of measured trainings into the plugin that ships it.

    python benchmarks/ship.py polyp     from benchmarks/runs and benchmarks/results

Of the seeds that are there, the one with the best figure on validation ships. The model card has
the words of the shipped config, and the figures of every seed, with those of the test beside. How
it answers is what the config says now. Of polyps the card also has what is measured of the adapter
that ships, false alarms among it; afterwards ship once more:

    python benchmarks/training.py polyp-shipped
    python benchmarks/false_alarms.py
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from grid import RESULTS, read_cell
from training import RUNS

from samdomain import load_adapter, save_adapter
from samdomain.training.command import Command

PLUGINS = Path(__file__).parents[1] / "plugins"


@dataclass(frozen=True)
class Shipped:
    """Say which cells an adapter is chosen from.

    Attributes:
        plugin: import package of the plugin that ships it.
        group: folder of the cells' results.
        cells: what the names of its cells begin with, before the seed.
        figure: figure of validation that chooses.
    """

    plugin: str
    group: str
    cells: str
    figure: str


ADAPTERS: Mapping[str, Shipped] = {
    "polyp": Shipped("samdomain_med", "training", "polyp-recommended", "dice"),
    "points": Shipped("samdomain_geo", "training", "points", "one_click"),
    "landcover": Shipped("samdomain_geo", "landcover", "dubai-samed", "pooled_miou_true"),
    "building-change": Shipped("samdomain_geo", "change", "sam_cd", "change_f1"),
}


def ship(name: str) -> Path:
    """Write an adapter into its plugin, and return its folder."""
    one = ADAPTERS[name]
    found = sorted((RESULTS / one.group).glob(f"{one.cells}-[0-9].json"))
    if not found:
        raise SystemExit(f"no cell {one.cells}-SEED is measured yet: run benchmarks/{one.group}.py")
    cells = {path.stem.rpartition("-")[2]: read_cell(one.group, path.stem) for path in found}
    best = max(cells, key=lambda seed: cells[seed]["val"][one.figure])
    loaded = load_adapter(RUNS / f"{one.cells}-{best}" / "adapter")
    if loaded.adapter is None:
        raise SystemExit(f"{RUNS / f'{one.cells}-{best}'} holds no adapter")
    module = Command("fit", [f"--config={name}"]).build(0).module
    words = module.card
    card = replace(
        loaded.adapter.card,
        options=module.recipe.to_json(),
        summary=words.summary,
        licence=words.licence,
        data=tuple(words.data),
        modality=words.modality,
        intended_use=words.intended_use,
        metrics={
            "seed": int(best),
            **figures(cells),
            **as_shipped(one.group, name),
            **alarms(name),
        },
    )
    folder = PLUGINS / one.plugin / "adapters" / name
    save_adapter(loaded.sam, folder, card, dtype=torch.float16, overwrite=True)
    return folder


def figures(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the figures of each seed by their split and name."""
    return {
        f"seed {seed} {name}": value
        for seed, cell in cells.items()
        for split in ("val", "test")
        for name, value in flat(split, cell.get(split, {}))
    }


def flat(name: str, values: Any) -> Iterator[tuple[str, float]]:
    """Yield numbers by the path of names to them, as of each source by itself."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from flat(f"{name} {key}", value)
    elif isinstance(values, float):
        yield name, values


def as_shipped(group: str, name: str) -> dict[str, float]:
    """Return the figures of an adapter as it ships, where that is a cell of its own."""
    if not (RESULTS / group / f"{name}-shipped.json").exists():
        return {}
    cell = read_cell(group, f"{name}-shipped")
    return dict(flat("as it ships", {split: cell[split] for split in ("val", "test")}))


def alarms(name: str) -> dict[str, float]:
    """Return how often an adapter marks something where there is nothing, where it is measured."""
    if not (RESULTS / "false_alarms" / f"{name}.json").exists():
        return {}
    told = read_cell("false_alarms", name)["together"]
    return {"free crops": told["crops"], "free crops with a false alarm": told["alarms"]}


if __name__ == "__main__":
    for adapter in sys.argv[1:]:
        print(ship(adapter))
