"""What the probabilities of a comparison mean, and what maps they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain_geo.classes.probability import (
    LEVELS,
    NO_DATA,
    PROBABILITY,
    decided,
    mask_layer,
    probability_layer,
    quantized,
)
from samdomain_geo.engine.mosaic import Layer
from samdomain_geo.polygons.regions import Scores
from samdomain_geo.results.colours import colour_of

UNCHANGED, CHANGED = "unchanged", "changed"

CHANGE_BAND = "change"
"""Band of `probability.tif`: how probable it is that a pixel changed."""

_MOST = 15  # classes whose pairs fit into a byte beside nodata

Levels = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Kind:
    """A row of the table of areas.

    Attributes:
        value: what `mask.tif` holds.
        name: the change in words.
        from_class: class at the earlier date, where classes are known.
        to_class: class at the later date.
    """

    value: int
    name: str
    from_class: str | None = None
    to_class: str | None = None


class Meaning(Protocol):
    """What the bytes of a block mean."""

    @property
    def rasters(self) -> Mapping[str, Layer]:
        """Rasters that are written, by the names of their files."""
        ...

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of pixels, by the codes that `codes` returns."""
        ...

    def codes(self, levels: Levels) -> NDArray[np.int64]:
        """Return the number of each pixel's kind (rows, columns), whatever nodata is."""
        ...

    def scores(self, path: str) -> Scores:
        """Return how sure pixels are, in the raster of probabilities at a path."""
        ...

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        ...


@dataclass(frozen=True)
class Changed:
    """A pixel changed, or it did not."""

    @property
    def rasters(self) -> Mapping[str, Layer]:
        """See `Meaning`."""
        return {
            "mask.tif": mask_layer((CHANGE_BAND,), overlapping=True),
            "probability.tif": probability_layer((CHANGE_BAND,)),
        }

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """See `Meaning`."""
        return Kind(0, UNCHANGED), Kind(1, CHANGED)

    def codes(self, levels: Levels) -> NDArray[np.int64]:
        """See `Meaning`."""
        return decided(levels, overlapping=True)[0].astype(np.int64)

    def scores(self, path: str) -> Scores:
        """See `Meaning`."""
        return Scores(path)

    def told(self) -> dict[str, Any]:
        """See `Meaning`."""
        return {"classes": []}


@dataclass(frozen=True)
class Transitions:
    """A pixel has a class at either date.

    Attributes:
        classes: names of the classes; a block's bytes are those of the earlier date, then those
            of the later one.

    Raises:
        InputError: there are more classes than a byte can tell pairs of.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse what a byte cannot hold."""
        if len(self.classes) > _MOST:
            raise InputError(
                f"the adapter knows {len(self.classes)} classes, and pairs of {_MOST} at most can "
                "be told: segment both dates, and compare their mask.tif in a GIS"
            )

    @property
    def rasters(self) -> Mapping[str, Layer]:
        """See `Meaning`; the classes of either date too."""
        values = [kind.value for kind in self.kinds if kind.value]
        mask = Layer(
            of=lambda _, arrays: self._mask(arrays),
            dtype="uint8",
            nodata=NO_DATA,
            bands=(CHANGE_BAND,),
            colours={0: (*colour_of(0), 0)} | {one: (*colour_of(one), 255) for one in values},
        )
        probability = Layer(
            of=lambda _, arrays: self._probability(arrays),
            dtype="uint8",
            nodata=NO_DATA,
            bands=(CHANGE_BAND,),
            scale=1 / LEVELS,
            resampling="AVERAGE",
        )
        return {
            "mask.tif": mask,
            "probability.tif": probability,
            "classes_before.tif": self._date(0),
            "classes_after.tif": self._date(1),
        }

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """See `Meaning`."""
        return tuple(
            Kind(0, one, one, one)
            if one == other
            else Kind(1 + place * len(self.classes) + number, f"{one} to {other}", one, other)
            for place, one in enumerate(self.classes)
            for number, other in enumerate(self.classes)
        )

    def codes(self, levels: Levels) -> NDArray[np.int64]:
        """See `Meaning`."""
        before, after = (one.argmax(axis=0) for one in np.split(levels, 2))
        return before * len(self.classes) + after

    def scores(self, path: str) -> Scores:
        """See `Meaning`."""
        return Scores(path, band=1)

    def told(self) -> dict[str, Any]:
        """See `Meaning`."""
        return {"classes": list(self.classes)}

    def _mask(self, arrays: Arrays) -> Levels | None:
        if not arrays:
            return None
        levels = arrays[PROBABILITY]
        values = np.array([kind.value for kind in self.kinds], np.uint8)
        found = values[self.codes(levels)][None]
        return np.where(levels[:1] == NO_DATA, np.uint8(NO_DATA), found)

    def _probability(self, arrays: Arrays) -> Levels | None:
        """Return how probable it is that both dates have different classes, told apart alone."""
        if not arrays:
            return None
        levels = arrays[PROBABILITY]
        before, after = np.split(levels.astype(np.float32) / np.float32(LEVELS), 2)
        same = (before * after).sum(axis=0, keepdims=True)
        # Rounded bytes need not add up to one.
        total = before.sum(axis=0, keepdims=True) * after.sum(axis=0, keepdims=True)
        changed = 1 - same / np.maximum(total, np.finfo(np.float32).tiny)
        return np.where(levels[:1] == NO_DATA, np.uint8(NO_DATA), quantized(changed))

    def _date(self, date: int) -> Layer:
        plain = mask_layer(self.classes)

        def of(index: int, arrays: Arrays) -> Levels | None:
            if not arrays:
                return None
            return plain.of(index, {PROBABILITY: np.split(arrays[PROBABILITY], 2)[date]})

        return Layer(of, plain.dtype, plain.nodata, plain.bands, colours=plain.colours)


def read_meaning(told: Mapping[str, Any]) -> Changed | Transitions:
    """Read a meaning back from what its `told` returned."""
    return Transitions(tuple(told["classes"])) if told["classes"] else Changed()
