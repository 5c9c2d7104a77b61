"""Paint a made place as an aerial photograph.

Everything is laid on one canvas of albedo and height; one step of light over it then gives
roof halves, tree crowns and cast shadows that agree with each other.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from samdomain_geo.made_scene.place import Colour, House, Place, Street, oblong

Array = NDArray[np.float32]
Window = tuple[slice, slice]

TRODDEN, HEAP = 1, 2
SOIL: Colour = (170, 142, 114)
RUBBLE: Colour = (164, 150, 134)
WALL: Colour = (176, 166, 154)
LEAF_DARK: Colour = (58, 80, 50)
LEAF_LIGHT: Colour = (108, 126, 72)
GLASS: Colour = (44, 50, 56)
CARS: tuple[Colour, ...] = (
    (228, 229, 231), (186, 188, 192), (60, 62, 68), (156, 44, 42), (56, 84, 132),
)  # fmt: skip
DASH, DASH_EVERY = 3.0, 9.0
RIDGE = 0.2
WALL_HEIGHT = 1.8
CAR_HEIGHT = 1.4
# The light of the open sky is all that reaches a shadow: bluish, a share of full light.
SKY: Colour = (0.30, 0.33, 0.38)
# A steeper slope, as the jump at an eave or a wall, is seen from above as no surface at all.
STEEPEST = 1.6
# Over this height a shadow's edge fades, as the sun is no point.
PENUMBRA = 0.5
BLUR_PX = 0.6
NOISE = 3.0


@dataclass(frozen=True)
class Season:
    """When a picture is taken.

    Attributes:
        sun_azimuth: degrees, clockwise from north.
        sun_elevation: degrees above the horizon.
        grass: colour of the grass, 0 to 255.
        leaves: factors of red, green and blue of the trees.
        exposure: factors of red, green and blue of the picture.
    """

    sun_azimuth: float
    sun_elevation: float
    grass: Colour
    leaves: Colour
    exposure: Colour


@dataclass(frozen=True, eq=False)
class _Canvas:
    """Albedo (3, rows, columns), 0 to 255, and height (rows, columns) in metres; both change."""

    albedo: Array
    height: Array
    pixel: float

    def burn(self, shapes: Iterable[tuple[BaseGeometry, int]]) -> NDArray[np.int32]:
        """Return the value of the last shape over each pixel's centre, 0 where there is none."""
        filled = [(shape, value) for shape, value in shapes if not shape.is_empty]
        size = self.height.shape
        if not filled:
            return np.zeros(size, np.int32)
        return rasterize(filled, size, transform=Affine.scale(self.pixel), dtype=np.int32)

    def window(self, bounds: Iterable[float]) -> Window:
        """Return the rows and columns that hold x, y bounds in metres, cut to the canvas."""
        left, top, right, bottom = (int(edge / self.pixel) for edge in bounds)
        rows, columns = self.height.shape
        return (
            slice(min(max(top, 0), rows), min(max(bottom + 1, 0), rows)),
            slice(min(max(left, 0), columns), min(max(right + 1, 0), columns)),
        )

    def centres(self, window: Window) -> tuple[Array, Array]:
        """Return x (1, columns) and y (rows, 1) in metres of a window's pixel centres."""
        y, x = ((np.arange(w.start, w.stop, dtype=np.float32) + 0.5) * self.pixel for w in window)
        return x[None], y[:, None]


def photograph(
    place: Place,
    season: Season,
    shape: tuple[int, int],
    pixel: float,
    ground: Generator,
    sensor: Generator,
) -> NDArray[np.uint8]:
    """Photograph a place from above.

    Args:
        place: what lies there.
        season: sun, tint and exposure.
        shape: rows, columns.
        pixel: side of a pixel in metres.
        ground: draws the texture of the ground; in the same state for all dates of a place.
        sensor: draws the noise of the camera.

    Returns:
        NDArray: (3, rows, columns) red, green, blue.
    """
    canvas = _Canvas(np.empty((3, *shape), np.float32), np.zeros(shape, np.float32), pixel)
    grain = _noise(ground, shape, 1.2 / pixel, octaves=3)
    _lay_ground(canvas, place, season, ground, grain)
    _lay_streets(canvas, place, grain)
    _lay_walls_and_cars(canvas, place)
    _lay_roofs(canvas, place.houses, grain)
    _lay_trees(canvas, place.trees, season, grain)
    seen = canvas.albedo
    seen *= _light(canvas, season)
    seen *= _column(season.exposure)
    seen = _blur(seen, BLUR_PX)
    seen += NOISE * sensor.standard_normal(seen.shape, np.float32)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def _noise(rng: Generator, shape: tuple[int, int], cell: float, octaves: int) -> Array:
    """Draw (rows, columns) of mean 0, deviation about 1, smooth over `cell` pixels and less."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        knots = (int(shape[0] / step) + 2, int(shape[1] / step) + 2)
        grid = rng.standard_normal(knots, dtype=np.float32)
        total += 0.7**octave * _stretch(_stretch(grid.T, shape[1], step).T, shape[0], step)
    return total * np.float32(1.4 / np.sqrt(sum(0.49**octave for octave in range(octaves))))


def _stretch(grid: Array, count: int, step: float) -> Array:
    at = np.arange(count, dtype=np.float32) / np.float32(step)
    low = at.astype(int)
    part = (at - low)[:, None]
    # Eased rather than straight, or the knots show as creases.
    part *= part * (3 - 2 * part)
    return grid[low] * (1 - part) + grid[low + 1] * part


def _blur(image: Array, sigma: float) -> Array:
    reach = int(np.ceil(2.5 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (-2, -1):
        size = image.shape[axis]
        margins = [(reach, reach) if at == axis else (0, 0) for at in range(-image.ndim, 0)]
        padded = np.moveaxis(np.pad(image, margins, mode="edge"), axis, 0)
        total = weights[0] * padded[:size]
        for at in range(1, weights.size):
            total += weights[at] * padded[at : at + size]
        image = np.moveaxis(total, 0, axis)
    return image


def _column(colour: Colour) -> Array:
    return np.array(colour, np.float32)[:, None, None]


def _lay_ground(
    canvas: _Canvas, place: Place, season: Season, ground: Generator, grain: Array
) -> None:
    shape = canvas.height.shape
    patches = _noise(ground, shape, 24 / canvas.pixel, octaves=6)
    tone = _noise(ground, shape, 45 / canvas.pixel, octaves=4)
    trodden = [(house.yard, TRODDEN) for house in (*place.houses, *place.ruins)]
    trodden += [(street.line.buffer(street.width / 2 + 1.2), TRODDEN) for street in place.streets]
    trodden += [(ruin.outline.buffer(1.0), HEAP) for ruin in place.ruins]
    use = canvas.burn(trodden)
    bare = _blur(np.minimum(use, 1).astype(np.float32), 0.8 / canvas.pixel)
    bare = np.clip(0.12 + 0.26 * patches + 0.14 * grain + bare, 0, 1)
    grass = _column(season.grass) * (1 + 0.11 * tone + 0.10 * grain)
    grass[0] *= 1 - 0.04 * patches
    grass += bare * (_column(SOIL) * (1 + 0.06 * tone + 0.06 * grain) - grass)
    canvas.albedo[:] = grass
    heap = use == HEAP
    canvas.albedo[:, heap] = _column(RUBBLE)[:, 0] * (1 + 0.13 * grain[heap])


def _lay_streets(canvas: _Canvas, place: Place, grain: Array) -> None:
    layers = [
        (street.width, level, 1 + at * 4 + level, shape)
        for at, street in enumerate(place.streets)
        for level, shape in enumerate(_bands(street))
    ]
    # Widest streets last, and all their edges before their surfaces: crossings then stay clean.
    layers.sort(key=lambda layer: layer[:2])
    band = canvas.burn((shape, value) for _, _, value, shape in layers)
    on = band > 0
    palette = np.array([c for street in place.streets for c in street.colours], np.float32)
    if on.any():
        canvas.albedo[:, on] = palette[band[on] - 1].T * (1 + 0.04 * grain[on])


def _bands(street: Street) -> tuple[BaseGeometry, ...]:
    """Return what each of the street's colours covers; a later band lies over the earlier."""
    line, width = street.line, street.width
    starts = np.arange(0, line.length, DASH_EVERY)
    ends = shapely.line_interpolate_point(line, np.stack([starts, starts + DASH], axis=1))
    dashes = shapely.linestrings(shapely.get_coordinates(ends).reshape(-1, 2, 2))
    return (
        street.surface(),
        line.buffer(width / 2 - 0.5),
        line.buffer(width * 0.3).difference(line.buffer(width * 0.14)),
        shapely.multilinestrings(dashes).buffer(0.16),
    )


def _lay_walls_and_cars(canvas: _Canvas, place: Place) -> None:
    # Places in the palette, from 1: wall, glass, then the paints of cars.
    walls = [(house.wall, 1) for house in (*place.houses, *place.ruins)]
    bodies = [
        (oblong((x, y), angle, length, width), 2 if is_glass else 3 + at % len(CARS))
        for length, width, is_glass in ((4.3, 1.8, False), (2.4, 1.6, True), (1.4, 1.5, False))
        for at, (x, y, angle) in enumerate(place.cars)
    ]
    thing = canvas.burn([*walls, *bodies])
    on = thing > 0
    palette = np.array([WALL, GLASS, *CARS], np.float32)
    canvas.albedo[:, on] = palette[thing[on] - 1].T
    canvas.height[on] = np.where(thing[on] == 1, WALL_HEIGHT, CAR_HEIGHT)


def _lay_roofs(canvas: _Canvas, houses: tuple[House, ...], grain: Array) -> None:
    owner = canvas.burn((house.outline, at) for at, house in enumerate(houses, start=1))
    for at, house in enumerate(houses, start=1):
        window = canvas.window(house.outline.bounds)
        inside = owner[window] == at
        x, y = canvas.centres(window)
        top = np.full(inside.shape, -np.inf, np.float32)
        shade = np.zeros(inside.shape, np.float32)
        for wing in house.wings:
            along, across = wing.along_across(x, y)
            roof = wing.roof(along, across)
            ribs = np.sin(2 * np.pi * (along * house.ribs[0] + across * house.ribs[1]))
            ridge = np.abs(across) < RIDGE
            shade = np.where(roof > top, 1 + 0.035 * ribs + 0.08 * ridge, shade)
            top = np.maximum(top, roof)
        shade += 0.04 * grain[window]
        canvas.albedo[:, *window][:, inside] = (_column(house.colour) * shade)[:, inside]
        canvas.height[window][inside] = top[inside]


def _lay_trees(canvas: _Canvas, trees: NDArray, season: Season, grain: Array) -> None:
    dark, light = (_column(c) * _column(season.leaves) for c in (LEAF_DARK, LEAF_LIGHT))
    for x, y, radius, height, lightness in trees:
        reach = 1.2 * radius
        window = canvas.window((x - reach, y - reach, x + reach, y + reach))
        at_x, at_y = canvas.centres(window)
        leaves = grain[window]
        away = ((at_x - x) ** 2 + (at_y - y) ** 2) / radius**2 * (1 + 0.25 * leaves)
        crown = height * (0.5 + 0.5 * np.sqrt(np.clip(1 - away, 0, None)) + 0.06 * leaves)
        on = (away < 1) & (crown > canvas.height[window])
        colour = (dark + lightness * (light - dark)) * (1 + 0.1 * leaves)
        canvas.albedo[:, *window][:, on] = colour[:, on]
        canvas.height[window][on] = crown[on]


def _light(canvas: _Canvas, season: Season) -> Array:
    azimuth, rise = math.radians(season.sun_azimuth), math.tan(math.radians(season.sun_elevation))
    # Towards the sun, in x to the right and y down.
    x, y = math.sin(azimuth), -math.cos(azimuth)
    slopes = np.gradient(canvas.height, canvas.pixel)
    down, right = (np.where(np.abs(g) < STEEPEST, g, 0) for g in slopes)
    against = (right * x + down * y) / rise
    facing = np.clip((1 - against) / np.sqrt(1 + right**2 + down**2), 0, 1.5)
    facing *= _lit(canvas, (x, y), rise)
    sky = _column(SKY)
    return sky + (1 - sky) * facing


def _lit(canvas: _Canvas, sun: tuple[float, float], rise: float) -> Array:
    """Return the share of the sun, 0 to 1, that reaches each pixel past what stands before it."""
    rows, columns = canvas.height.shape
    reach = int(canvas.height.max() / rise / canvas.pixel) + 1
    padded = np.pad(canvas.height, reach)
    ray = np.zeros_like(canvas.height)
    for step in range(1, reach + 1):
        right, down = (reach + round(step * part) for part in sun)
        before = padded[down : down + rows, right : right + columns]
        np.maximum(ray, before - step * canvas.pixel * rise, out=ray)
    return np.clip(1 + (canvas.height - ray) / PENUMBRA, 0, 1)
