"""Hold what the objects of a scene are asked for by: boxes, clicks, or both."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPoint
from shapely.geometry.base import BaseGeometry

from samdomain.errors import InputError
from samdomain.sam import PromptKind, SamSpec
from samdomain_geo.prompts.clicks import Clicks
from samdomain_geo.scenes.raster import Scene


@dataclass(frozen=True, eq=False)
class ObjectPrompts:
    """What N objects are asked for by, in the pixels of a scene.

    Each object has a box, clicks of which one at least is on it, or both.

    Attributes:
        boxes: (N, 4) as left, top, right, bottom; inside the scene; NaN where an object has none.
        clipped: (N,) whether the box, or clicks on the object, reach over the scene's edge.
        columns: the N rows' own columns, without geometry; of the box where there is one, else
            of the first click on the object.
        outside: how many further rows lie outside the scene.
        clicks: the objects' clicks; inside the scene.
    """

    boxes: NDArray[np.float64]
    clipped: NDArray[np.bool_]
    columns: pd.DataFrame
    outside: int
    clicks: Clicks = field(default_factory=Clicks.none)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)

    @cached_property
    def boxed(self) -> NDArray[np.bool_]:
        """Whether each object has a box, (N,)."""
        return ~np.isnan(self.boxes[:, 0])

    @cached_property
    def clicked(self) -> NDArray[np.intp]:
        """How many clicks each object has, (N,)."""
        return np.bincount(self.clicks.objects, minlength=len(self))

    def bare(self) -> "ObjectPrompts":
        """Return the prompts without their rows' own columns."""
        return replace(self, columns=self.columns[[]])

    def check(self, spec: SamSpec) -> None:
        """Refuse, before any work, kinds of prompt that a model does not understand.

        Args:
            spec: the model's.

        Raises:
            InputError: there is such a prompt.
        """
        kinds: dict[PromptKind, tuple[str, int]] = {
            "box": ("have a box", int(self.boxed.sum())),
            "point": ("have clicks", int((self.clicked > 0).sum())),
        }
        for kind, (told, count) in kinds.items():
            if count and kind not in spec.prompts:
                raise InputError(
                    f"{count} of {len(self)} objects {told}, but {spec.name!r} was trained with "
                    f"{' and '.join(sorted(spec.prompts))} prompts only: give those, or choose "
                    "--weights that understand both: mobile_sam, sam_vit_b, sam_vit_l, sam_vit_h"
                )

    def extents(self, side: float, scene: Scene) -> NDArray[np.float64]:
        """Return where each object is looked for, (N, 4) as boxes inside the scene.

        Args:
            side: side in pixels of the square about the clicks of an object without a box: they
                do not tell how large it is.
            scene: raster that the prompts belong to.
        """
        low, high = self.boxes[:, :2].copy(), self.boxes[:, 2:].copy()
        np.fmin.at(low, self.clicks.objects, self.clicks.places)
        np.fmax.at(high, self.clicks.objects, self.clicks.places)
        bare = ~self.boxed[:, None]
        middle = (low + high) / 2
        low = np.where(bare, np.minimum(low, middle - side / 2), low)
        high = np.where(bare, np.maximum(high, middle + side / 2), high)
        size = np.array([scene.columns, scene.rows], dtype=float)
        return np.clip(np.concatenate([low, high], axis=1), 0, np.tile(size, 2))

    def area(self, index: int) -> BaseGeometry:
        """Return what a part of an object must touch: its box, its clicks on it, or either."""
        parts: list[BaseGeometry] = []
        if not np.isnan(self.boxes[index, 0]):
            parts.append(shapely.box(*self.boxes[index]))
        if len(places := self.clicks.of(index).on()):
            parts.append(MultiPoint(places))
        return shapely.union_all(parts)

    def alike(self, objects: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Group objects that have the same kinds of prompt, since a model is asked for one set.

        A single click without a box stands apart: it is ambiguous.

        Args:
            objects: (M,) indices of objects.

        Returns:
            Iterator: positions in `objects`, (K,) each.
        """
        kinds = 3 * self.boxed[objects] + np.minimum(self.clicked[objects], 2)
        for kind in np.unique(kinds):
            yield np.flatnonzero(kinds == kind)
