"""Mean and spread over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def over_seeds(runs: Mapping[int, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return one row a figure: mean, spread, and the value of each seed.

    The spread is the standard deviation of a sample (n - 1); it is empty for one seed.

    Args:
        runs: figures by seed.
    """
    names = dict.fromkeys(name for figures in runs.values() for name in figures)
    rows: list[dict[str, Any]] = []
    for name in names:
        values = {seed: figures[name] for seed, figures in runs.items() if name in figures}
        rows.append(
            {
                "figure": name,
                "mean": statistics.fmean(values.values()),
                "spread": _spread(list(values.values())),
                **{f"seed {seed}": value for seed, value in values.items()},
            }
        )
    return rows


def told(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the rows as a person reads them: mean ± spread by figure."""
    return {
        str(row["figure"]): f"{row['mean']:.4f}"
        + (f" ± {row['spread']:.4f}" if row["spread"] != "" else "")
        for row in rows
    }


def _spread(values: Sequence[float]) -> float | str:
    return statistics.stdev(values) if len(values) > 1 else ""
