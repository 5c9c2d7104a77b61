"""Tell how much ground changed."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samdomain_geo.changes.meaning import Kind, Meaning
from samdomain_geo.classes.probability import NO_DATA, PROBABILITY
from samdomain_geo.engine.block_store import BlockStore
from samdomain_geo.evaluation.class_areas import ClassAreas
from samdomain_geo.scenes.ellipsoid import Ellipsoid

_HECTARE = 10_000.0  # square metres

_COLUMNS = ("class_id", "class_name", "from_class", "to_class", "pixels", "area_m2", "area_ha")


@dataclass(frozen=True)
class KindArea:
    """The ground of one kind.

    Attributes:
        kind: what happened there.
        pixels: how many pixels.
        square_metres: geodesic area; None without a CRS.
        share: of the overlap in which both dates have data.
    """

    kind: Kind
    pixels: int
    square_metres: float | None
    share: float


@dataclass(frozen=True)
class Areas:
    """The ground of each kind that occurs, and of all that changed.

    Attributes:
        rows: by the kinds' codes.
        overlap: pixels with data at both dates.
    """

    rows: tuple[KindArea, ...]
    overlap: int

    @property
    def changed(self) -> tuple[KindArea, ...]:
        """The rows of what changed."""
        return tuple(row for row in self.rows if row.kind.value)

    def told(self) -> dict[str, Any]:
        """Return what changed in all, as the record and the summary tell it."""
        known = [row.square_metres for row in self.changed if row.square_metres is not None]
        area = round(sum(known), 2) if len(known) == len(self.changed) and self._known else None
        return {
            "pixels": sum(row.pixels for row in self.changed),
            "area_m2": area,
            "area_ha": None if area is None else round(area / _HECTARE, 4),
            "share_of_overlap": round(sum(row.share for row in self.changed), 6),
        }

    @property
    def _known(self) -> bool:
        return all(row.square_metres is not None for row in self.rows)

    def write(self, path: Path) -> None:
        """Write the rows as CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*_COLUMNS, "share_of_overlap"])
            for row in self.rows:
                area, kind = row.square_metres, row.kind
                told = ("", "") if area is None else (f"{area:.2f}", f"{area / _HECTARE:.6f}")
                names = (kind.value, kind.name, kind.from_class or "", kind.to_class or "")
                table.writerow([*names, row.pixels, *told, f"{row.share:.6f}"])


def measure_areas(store: BlockStore, meaning: Meaning) -> Areas:
    """Measure the ground of each kind over the blocks of a run."""
    grid = store.manifest.grid
    sizes = ClassAreas(Ellipsoid.of(grid.crs), grid)
    for index in store.manifest.todo:
        levels = store.read(index).get(PROBABILITY)
        if levels is not None:
            window = store.manifest.block(index).window
            found = levels.astype(np.uint8)
            sizes.add(window, meaning.codes(found), found[0] != NO_DATA)
    valid = sum(sizes.pixels.values())
    rows = (
        KindArea(
            kind,
            sizes.pixels[code],
            float(sizes.square_metres[code]) if sizes.known else None,
            sizes.pixels[code] / valid,
        )
        for code, kind in enumerate(meaning.kinds)
        if sizes.pixels[code]
    )
    return Areas(tuple(rows), valid)
