"""Hold geometries in arrays, as blocks on disk do."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry


def pack(geometries: Iterable[BaseGeometry | None]) -> dict[str, NDArray[np.generic]]:
    """Return N geometries as arrays: `wkb`, their bytes in a row, and `ends` (N,) in it.

    A geometry that is missing takes no bytes.
    """
    # All at once: one by one takes several times as long.
    wkb = [one or b"" for one in shapely.to_wkb(np.array([*geometries, None], object))[:-1]]
    ends = np.cumsum([len(one) for one in wkb], dtype=np.int64)
    return {"wkb": np.frombuffer(b"".join(wkb), np.uint8), "ends": ends}


def unpack(
    arrays: Mapping[str, NDArray[Any]], chosen: NDArray[np.intp] | None = None
) -> NDArray[np.object_]:
    """Return the geometries that were packed, or some of them by their place; None if missing."""
    wkb, ends = arrays["wkb"].tobytes(), arrays["ends"]
    spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    rows = spans if chosen is None else spans[chosen]
    return shapely.from_wkb([wkb[start:end] or None for start, end in rows.tolist()])
