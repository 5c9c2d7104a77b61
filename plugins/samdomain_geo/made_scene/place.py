"""Plan a made suburb: streets, houses on plots along them, trees.

Lengths are in metres; x counts to the right and y down from the picture's top left corner.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import shapely
from numpy.random import Generator
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

Colour = tuple[float, float, float]
Range = tuple[float, float]

# Edge, surface, wheel tracks, centre line; a dirt road has no line to paint.
ASPHALT: tuple[Colour, ...] = ((150, 138, 124), (124, 123, 122), (115, 114, 114), (208, 206, 196))
DIRT: tuple[Colour, ...] = ((170, 130, 98), (186, 148, 114), (200, 164, 132), (186, 148, 114))
DIRT_EVERY: Range = (62, 80)
PAVED_EVERY: Range = (140, 200)
DIRT_WIDTH, PAVED_WIDTH = 5.0, 7.5
BEND, BEND_EVERY = 7.0, 260.0

# A house keeps this far from the next and from a street.
GAP = 1.5
# Wide enough that a rough box around a house stays in the picture.
EDGE = 3.0
SETBACK = 5.0
PLOT_WIDTH: Range = (22, 32)
PLOT_DEPTH = 27.0
VACANT, LARGE, L_SHAPED, TALL, HIPPED, WALLED, SHED = 0.46, 0.12, 0.3, 0.25, 0.5, 0.6, 0.22
# Terracotta, rust, grey, tin, dark, and sheets painted green and blue.
ROOFS: tuple[Colour, ...] = (
    (172, 102, 76), (142, 80, 66), (146, 148, 150), (212, 213, 214),
    (84, 84, 88), (112, 138, 124), (112, 132, 154),
)  # fmt: skip
# Cycles a metre along and across the ridge: sheets are ribbed down the slope, tiles lie in rows.
SHEETS, TILES = (1 / 1.0, 0.0), (0.0, 1 / 0.9)

TREE_AREA = 105.0
GROVE, GROVE_SHARE = 9.0, 0.65


def oblong(centre: tuple[float, float], angle: float, length: float, depth: float) -> Polygon:
    """Return a rectangle turned about its centre by an angle in radians."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (length / 2, depth / 2)
    cos, sin = np.cos(angle), np.sin(angle)
    return Polygon(corners @ np.array([(cos, sin), (-sin, cos)]) + centre)


@dataclass(frozen=True)
class Wing:
    """A rectangle under one ridge; a house has one or two.

    Attributes:
        centre: x, y.
        angle: direction of the ridge in radians, from x towards y.
        length: extent along the ridge.
        depth: extent across the ridge.
        eave: height of the walls.
        pitch: rise of the two long sides, metres a metre.
        end_pitch: rise of the two ends; as `pitch` on a hipped roof, steep on a gable.
    """

    centre: tuple[float, float]
    angle: float
    length: float
    depth: float
    eave: float
    pitch: float
    end_pitch: float

    def along_across(self, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        """Return how far points lie from the centre along and across the ridge."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return dx * cos + dy * sin, dy * cos - dx * sin

    def roof(self, along: NDArray, across: NDArray) -> NDArray:
        """Return the roof's height; outside the wing it falls on below the eave."""
        sides = self.pitch * (self.depth / 2 - np.abs(across))
        ends = self.end_pitch * (self.length / 2 - np.abs(along))
        return self.eave + np.minimum(sides, ends)


@dataclass(frozen=True, eq=False)
class House:
    """A building and what belongs to it.

    Attributes:
        outline: footprint, the union of the wings.
        wings: one, or two for an L.
        colour: of the roof, 0 to 255.
        ribs: ribs of sheets or rows of tiles, in cycles a metre along and across the ridge.
        yard: trodden ground around it and the drive to the street.
        wall: around the plot; it may be empty.
    """

    outline: Polygon
    wings: tuple[Wing, ...]
    colour: Colour
    ribs: tuple[float, float]
    yard: BaseGeometry
    wall: BaseGeometry

    def height(self) -> float:
        """Return the height of the highest ridge."""
        return max(wing.eave + wing.pitch * wing.depth / 2 for wing in self.wings)


@dataclass(frozen=True, eq=False)
class Street:
    """A street: centre line, width, and colours from its edge to its centre line."""

    line: shapely.LineString
    width: float
    colours: tuple[Colour, ...]

    def surface(self) -> BaseGeometry:
        """Return all that the street covers."""
        return self.line.buffer(self.width / 2)


@dataclass(frozen=True, eq=False)
class Place:
    """What lies in a picture.

    Attributes:
        streets: dirt roads first, so that paved ones lie over them.
        houses: those that stand.
        ruins: those that were pulled down and left their rubble.
        trees: (N, 5) x, y, crown radius, height, and lightness from 0 to 1.
        cars: (N, 3) x, y, and direction in radians.
    """

    streets: tuple[Street, ...]
    houses: tuple[House, ...]
    ruins: tuple[House, ...]
    trees: NDArray
    cars: NDArray


@dataclass(frozen=True)
class _Plot:
    """Ground beside a street: its origin on the centre line, `front` metres from the kerb."""

    origin: tuple[float, float]
    angle: float
    width: float
    front: float

    def at(self, along: float, away: float) -> tuple[float, float]:
        """Return the point so far along the street and away from its kerb."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        away += self.front
        x, y = self.origin
        return float(x + along * cos - away * sin), float(y + along * sin + away * cos)


def plan_place(rng: Generator, extent: tuple[float, float]) -> Place:
    """Plan streets, at least one house, and trees, for a picture's width and height."""
    streets = _streets(rng, extent)
    houses = _houses(rng, extent, streets)
    if not houses:
        # Too small for a plot beside a street: a lone house, and no street through it.
        houses = [_cottage(rng, extent)]
        clear = houses[0].outline.buffer(GAP)
        streets = tuple(s for s in streets if not s.surface().intersects(clear))
    return Place(streets, tuple(houses), (), _trees(rng, extent, streets, houses), np.empty((0, 3)))


def _streets(rng: Generator, extent: tuple[float, float]) -> tuple[Street, ...]:
    grid = rng.uniform(0, np.pi)
    half = float(np.hypot(*extent)) / 2 + 20
    kinds = (
        (grid, DIRT_EVERY, DIRT_WIDTH, DIRT),
        (grid + np.pi / 2, PAVED_EVERY, PAVED_WIDTH, ASPHALT),
    )
    streets = []
    for angle, every, width, colours in kinds:
        along = np.arange(-half, half, 6.0)
        bend = BEND * np.sin(along * 2 * np.pi / BEND_EVERY + rng.uniform(0, 2 * np.pi))
        gaps = rng.uniform(*every, int(2 * half / every[0]) + 2)
        for offset in np.cumsum(gaps) - half - rng.uniform(*every):
            aside = bend + offset
            x = extent[0] / 2 + along * np.cos(angle) - aside * np.sin(angle)
            y = extent[1] / 2 + along * np.sin(angle) + aside * np.cos(angle)
            streets.append(Street(shapely.LineString(np.stack([x, y], axis=1)), width, colours))
    return tuple(streets)


def _houses(
    rng: Generator, extent: tuple[float, float], streets: tuple[Street, ...]
) -> list[House]:
    inside = shapely.box(EDGE, EDGE, extent[0] - EDGE, extent[1] - EDGE)
    roads = shapely.union_all([street.surface() for street in streets])
    verges = roads.buffer(0.5)
    shapely.prepare([inside, roads, verges])
    houses: list[House] = []
    for plot in _plots(rng, streets):
        for house in _built(rng, plot):
            taken = [other.outline for other in houses]
            if (
                inside.contains(house.outline)
                and not shapely.dwithin(roads, house.outline, GAP)
                and not np.any(shapely.dwithin(taken, house.outline, GAP))
            ):
                houses.append(replace(house, wall=house.wall.difference(verges)))
    return houses


def _plots(rng: Generator, streets: tuple[Street, ...]) -> Iterator[_Plot]:
    for street in streets:
        for turn in (0.0, np.pi):
            edges = np.cumsum(rng.uniform(*PLOT_WIDTH, int(street.line.length / PLOT_WIDTH[0])))
            for start, end in pairwise(edges):
                kerb = street.line.interpolate((start + end) / 2)
                ahead = street.line.interpolate((start + end) / 2 + 1)
                angle = np.arctan2(ahead.y - kerb.y, ahead.x - kerb.x) + turn
                if end < street.line.length and rng.random() >= VACANT:
                    yield _Plot((kerb.x, kerb.y), float(angle), end - start, street.width / 2)


def _built(rng: Generator, plot: _Plot) -> Iterator[House]:
    plot = replace(plot, angle=plot.angle + rng.normal(0, 0.04))
    large = rng.random() < LARGE
    length, depth = rng.uniform((19, 10.5), (25, 14)) if large else rng.uniform((9, 7), (17, 10.5))
    away = SETBACK + rng.uniform(0, 4) + depth / 2
    wings = [_wing(rng, plot.at(0, away), plot.angle, length, depth)]
    if not large and rng.random() < L_SHAPED:
        side, width, reach = rng.choice([-1, 1]), rng.uniform(5.5, 7), rng.uniform(4, 7)
        centre = plot.at(side * (length - width) / 2, away + reach / 2)
        turned = plot.angle + np.pi / 2
        wings.append(
            replace(wings[0], centre=centre, angle=turned, length=depth + reach, depth=width)
        )
    drive = shapely.LineString([plot.at(0.2 * length, -1), plot.at(0.2 * length, away)])
    fence = oblong(plot.at(0, PLOT_DEPTH / 2 + 1), plot.angle, plot.width, PLOT_DEPTH)
    wall = fence.exterior.difference(drive.buffer(2)).buffer(0.2, cap_style="flat")
    yield _house(rng, wings, drive.buffer(1.3), wall if rng.random() < WALLED else Polygon())
    if rng.random() < SHED:
        spot = plot.at(rng.uniform(-0.25, 0.25) * plot.width, PLOT_DEPTH - 4.5)
        shed = _wing(rng, spot, plot.angle, *rng.uniform((6.5, 6), (9, 6.5)))
        yield _house(rng, [replace(shed, eave=2.4, pitch=0.2)], Polygon(), Polygon())


def _cottage(rng: Generator, extent: tuple[float, float]) -> House:
    centre, side = (extent[0] / 2, extent[1] / 2), min(*extent, 22)
    wing = _wing(rng, centre, rng.uniform(0, np.pi), 0.45 * side, 0.35 * side)
    return _house(rng, [wing], Polygon(), Polygon())


def _wing(
    rng: Generator, centre: tuple[float, float], angle: float, length: float, depth: float
) -> Wing:
    eave = 5.8 if rng.random() < TALL else 3.0
    pitch = rng.uniform(0.3, 0.55)
    end_pitch = pitch if rng.random() < HIPPED else 9.0
    return Wing(centre, angle, float(length), float(depth), eave, pitch, end_pitch)


def _house(rng: Generator, wings: list[Wing], drive: BaseGeometry, wall: BaseGeometry) -> House:
    parts = [oblong(wing.centre, wing.angle, wing.length, wing.depth) for wing in wings]
    outline = shapely.union_all(parts)
    kind = int(rng.integers(len(ROOFS)))
    colour = tuple(float(c) for c in np.array(ROOFS[kind]) * rng.uniform(0.85, 1.12))
    ribs = TILES if kind == 0 else SHEETS
    yard = outline.buffer(rng.uniform(1.0, 2.5)).union(drive)
    return House(outline, tuple(wings), colour, ribs, yard, wall)


def _trees(
    rng: Generator,
    extent: tuple[float, float],
    streets: tuple[Street, ...],
    houses: list[House],
) -> NDArray:
    count = int(extent[0] * extent[1] / TREE_AREA) + 1
    groves = rng.uniform(0, extent, (count // 8 + 1, 2))
    spots = np.where(
        rng.random((count, 1)) < GROVE_SHARE,
        rng.choice(groves, count) + rng.normal(0, GROVE, (count, 2)),
        rng.uniform(0, extent, (count, 2)),
    )
    radius = np.clip(np.exp(rng.normal(0.55, 0.5, count)), 0.6, 5.0)
    height = 1.2 + 1.35 * radius * rng.uniform(0.8, 1.2, count)
    # A crown may reach over the edge of a roof, and hardly over a street.
    things = shapely.STRtree([h.outline for h in houses] + [s.surface() for s in streets])
    near, _ = things.query(shapely.points(spots), predicate="dwithin", distance=0.75 * radius)
    trees = np.column_stack([spots, radius, height, rng.random(count)])
    return np.delete(trees, np.unique(near), axis=0)
