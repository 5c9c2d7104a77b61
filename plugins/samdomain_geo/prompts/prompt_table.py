"""Check the rows of a file of prompts, and tell which of them ask for the same object."""

import logging
from dataclasses import dataclass
from typing import Self

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain_geo.prompts.clicks import BESIDE, LABEL, OBJECT, ON, read_labels
from samdomain_geo.prompts.prompt_file import FID, PromptRows, listed, refuse

logger = logging.getLogger(__name__)

POLYGONAL = {"Polygon", "MultiPolygon"}
CLICKED = {"Point", "MultiPoint"}


@dataclass(frozen=True, eq=False)
class PromptTable:
    """n sound rows that ask for N objects.

    Attributes:
        rows: rows as the file has them, in its CRS.
        clicked: (n,) whether a row is clicks; else it is a box.
        labels: (n,) of the rows that are clicks: 1 on the object, 0 beside it.
        objects: (n,) index of the object that each row asks for; objects are in the order of
            their first rows.
    """

    rows: gpd.GeoDataFrame
    clicked: NDArray[np.bool_]
    labels: NDArray[np.int64]
    objects: NDArray[np.intp]

    @classmethod
    def of(cls, given: PromptRows) -> Self:
        """Check rows.

        Rows with the same `object_id` ask for one object, if there are points among the rows;
        else each row asks for its own.

        Raises:
            InputError: a geometry is empty, of another kind, or a polygon without extent; a
                label is neither 1 nor 0; or an object has two boxes, or clicks beside it alone.
        """
        rows = given.table
        clicked = _check_geometries(rows)
        labels = _check_labels(rows, clicked)
        groups = _groups(rows, clicked)
        objects, _ = pd.factorize(np.where(groups < 0, -1 - np.arange(len(rows)), groups))
        table = cls(rows, clicked, labels, objects)
        _check_boxes(table)
        _check_clicks(table, alone=groups < 0, complete=not given.elsewhere)
        return table

    def __len__(self) -> int:
        """Return the number of objects."""
        return int(self.objects.max(initial=-1)) + 1

    @property
    def boxed(self) -> NDArray[np.bool_]:
        """Whether each object has a box, (N,)."""
        return np.bincount(self.objects[~self.clicked], minlength=len(self)) > 0

    def columns(self) -> pd.DataFrame:
        """Return one row an object, without geometry: its box's, else its first click's on it."""
        rank = np.where(self.clicked, np.where(self.labels == ON, 1, 2), 0)
        order = np.lexsort((rank, self.objects))  # stable: in the file's order
        _, first = np.unique(self.objects[order], return_index=True)
        columns = pd.DataFrame(self.rows.drop(columns=self.rows.geometry.name))
        return columns.iloc[order[first]].reset_index(drop=True)


def _check_geometries(rows: gpd.GeoDataFrame) -> NDArray[np.bool_]:
    """Return which rows are points; the others are polygons."""
    geometry, fids = rows.geometry, rows[FID].to_numpy()
    empty = (geometry.isna() | geometry.is_empty).to_numpy()
    refuse(fids, empty, "have no geometry", "remove them, or leave them out with --where")
    kinds = geometry.geom_type
    foreign = ~kinds.isin(POLYGONAL | CLICKED).to_numpy()
    named = ", ".join(sorted(set(kinds[foreign])))
    remedy = "prompts are polygons, boxes or points; buffer or convert them"
    refuse(fids, foreign, f"are {named}", remedy)
    clicked = kinds.isin(CLICKED).to_numpy()
    bounds = geometry.bounds.to_numpy()  # (n, 4)
    thin = ~clicked & ~(bounds[:, 2:] > bounds[:, :2]).all(axis=1)
    wrong = ~np.isfinite(bounds).all(axis=1) | thin
    refuse(fids, wrong, "are as thin as a line or not finite", "remove or repair them")
    if crossed := int((~geometry.is_valid).sum()):
        # Only their bounds are used, and those are sound.
        logger.warning("%d prompts are invalid polygons; their bounds are used", crossed)
    return clicked


def _check_labels(rows: gpd.GeoDataFrame, clicked: NDArray[np.bool_]) -> NDArray[np.int64]:
    if LABEL not in rows or not clicked.any():
        return np.full(len(rows), ON)
    labels, wrong = read_labels(rows[LABEL])
    foreign = clicked & wrong  # a polygon's label may be anything
    values = listed(sorted(set(map(repr, rows[LABEL][foreign]))))
    remedy = f"allowed are {ON} (on the object) and {BESIDE} (beside it), or rename the column"
    refuse(rows[FID].to_numpy(), foreign, f"are clicks with {LABEL} {values}", remedy)
    return labels


def _groups(rows: gpd.GeoDataFrame, clicked: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return a number for each row, equal where rows ask for one object; -1 for no other's."""
    if OBJECT not in rows or not clicked.any():
        return np.full(len(rows), -1)
    groups, _ = pd.factorize(rows[OBJECT])
    return groups


def _check_boxes(table: PromptTable) -> None:
    boxes = np.bincount(table.objects[~table.clicked], minlength=len(table))
    several = (boxes > 1)[table.objects] & ~table.clicked
    remedy = f"an object has one box at most; give them different values of {OBJECT}"
    refuse(table.rows[FID].to_numpy(), several, "are several boxes of one object", remedy)


def _check_clicks(table: PromptTable, alone: NDArray[np.bool_], *, complete: bool) -> None:
    on = ~table.clicked | (table.labels == ON)
    told = np.bincount(table.objects[on], minlength=len(table)) > 0
    lost = ~told[table.objects]
    if not lost.any():
        return
    rows = table.rows
    names = [f"fid {fid}" for fid in rows[FID][lost & alone]]
    if OBJECT in rows:
        names += [f"{OBJECT} {name}" for name in pd.unique(rows[OBJECT][lost & ~alone])]
    if complete or (lost & alone).any():
        raise InputError(
            f"{len(names)} of {len(table)} objects ({listed(names)}) have only clicks beside them "
            f"({LABEL} {BESIDE}): add a click on each, with the same {OBJECT}"
        )
    # The clicks on them may lie elsewhere: the scene is one tile of many.
    logger.warning("%s: no click on it near the scene: left out", listed(names))
