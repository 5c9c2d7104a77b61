"""Give classes numbers where files tell them by words."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain_geo.evaluation.shape_layer import CLASS_NAME, ShapeLayer

Codes = NDArray[np.float64]
"""Number of each row's class; NaN where a row has none."""


def number_on_raster(layer: ShapeLayer, names: Mapping[int, str]) -> Codes:
    """Return the classes of a layer as the values that a raster has for them.

    Args:
        layer: shapes whose classes are numbers, or names that the raster knows.
        names: names of the raster's classes by value.

    Raises:
        InputError: a name is not known, or a number is not whole.
    """
    if not _in_words(layer):
        return _whole(layer)
    values = {name: value for value, name in names.items()}
    words = layer.table["class"]
    if unknown := sorted({*words.dropna()} - {*values}):
        known = ", ".join(values) or "none, so give a column of numbers"
        raise InputError(
            f"{layer.side.path} has the class {unknown[0]!r} in {layer.column!r}, which the raster "
            f"does not name: it names {known}"
        )
    return words.map(values).to_numpy(np.float64)


def number_both(predicted: ShapeLayer, true: ShapeLayer) -> tuple[Codes, Codes, dict[int, str]]:
    """Return the classes of two layers as numbers with one meaning, and their names.

    Raises:
        InputError: one tells its classes by words that the other does not have.
    """
    layers = (predicted, true)
    if not any(_in_words(layer) for layer in layers):
        return _whole(predicted), _whole(true), names_of(layers)
    words = [_words(layer, layers) for layer in layers]
    names = dict(enumerate(sorted({*words[0].dropna(), *words[1].dropna()}), start=1))
    values = {name: value for value, name in names.items()}
    first, second = (column.map(values).to_numpy(np.float64) for column in words)
    return first, second, names


def names_of(layers: Sequence[ShapeLayer]) -> dict[int, str]:
    """Return the names that files give the numbers of their classes, the first file first."""
    names: dict[int, str] = {}
    for layer in layers:
        if layer.column is None or _in_words(layer) or len(layer) == 0:
            continue
        table = layer.table[["class", CLASS_NAME]].dropna().drop_duplicates("class")
        for value, name in zip(table["class"].tolist(), table[CLASS_NAME].tolist(), strict=True):
            names.setdefault(int(value), str(name))
    return names


def _words(layer: ShapeLayer, layers: Sequence[ShapeLayer]) -> pd.Series:
    if _in_words(layer):
        return layer.table["class"]
    if len(layer) and bool(layer.table[CLASS_NAME].isna().any()):
        other = next(one for one in layers if _in_words(one))
        raise InputError(
            f"{other.side.path} has classes in words ({other.column!r}), and {layer.side.path} has "
            "none for some rows: give --class-column one that both have, in the same terms"
        )
    return layer.table[CLASS_NAME]


def _in_words(layer: ShapeLayer) -> bool:
    return not pd.api.types.is_numeric_dtype(layer.table["class"]) and len(layer) > 0


def _whole(layer: ShapeLayer) -> Codes:
    numbers = layer.table["class"].to_numpy(np.float64, na_value=np.nan)
    known = numbers[np.isfinite(numbers)]
    if (known % 1).any():
        raise InputError(
            f"{layer.side.path} has classes in {layer.column!r} that are not whole numbers, as "
            f"{known[known % 1 > 0][0]:g}: choose another --class-column"
        )
    return numbers
