"""Run the cells of a benchmark, one JSON file each, and only those that are missing."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from samdomain.whole_file import whole_file

Cell = Callable[[], Mapping[str, Any]]
RESULTS = Path(__file__).parent / "results"


def run_grid(name: str, cells: Mapping[str, Cell]) -> None:
    """Measure the cells that the command line names, or all that are missing.

    Args:
        name: folder of the results, beside this file.
        cells: what to measure, by the name of its file.
    """
    folder = RESULTS / name
    chosen = sys.argv[1:]
    if unknown := set(chosen) - cells.keys():
        sys.exit(f"no cell {', '.join(sorted(unknown))}: there are {', '.join(cells)}")
    for cell in chosen or cells:
        path = folder / f"{cell}.json"
        if path.exists() and not chosen:
            continue
        write_cell(name, cell, cells[cell])


def write_cell(name: str, cell: str, measure: Cell) -> None:
    """Measure a cell, write it whole and print it."""
    path = RESULTS / name / f"{cell}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {**machine(), **measure()}
    with whole_file(path) as scratch:
        scratch.write_text(json.dumps(result, indent=2) + "\n")
    print(cell, path.read_text())


def read_cell(name: str, cell: str) -> dict[str, Any]:
    """Return what was measured in a cell."""
    return json.loads((RESULTS / name / f"{cell}.json").read_text())


def machine() -> dict[str, Any]:
    """Tell what the figures depend on beside the code."""
    return {
        "torch": torch.__version__,
        "samdomain": version("samdomain"),
        "precision": precision(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def precision() -> str:
    """Return the precision of trainings: bf16 where this processor multiplies in it.

    Elsewhere bf16 is emulated, and slow.
    """
    facts = Path("/proc/cpuinfo")
    flags = set(facts.read_text().split()) if facts.exists() else set()
    return "bf16-mixed" if flags & {"amx_bf16", "avx512_bf16"} else "32-true"
