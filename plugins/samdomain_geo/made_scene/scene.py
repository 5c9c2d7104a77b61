"""Make a suburb and photograph it at two dates: the product's demo, and data for tests."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from shapely.affinity import affine_transform

from samdomain.errors import InputError
from samdomain_geo.made_scene.paint import Season, photograph
from samdomain_geo.made_scene.place import Place, Street, plan_place

LEAST_PIXELS = 64
# Finer, and a house would not fit in 64 pixels; coarser, and nobody could see its roof.
PIXEL_SIZES_M = (0.1, 1.0)
# Top left corner: a hill in Kampala, in UTM zone 36N.
EAST_M, NORTH_M = 455_200.0, 37_400.0
NEW, DEMOLISHED = 0.16, 0.14
# From here on every status occurs; fewer houses all stay.
FEWEST_TO_CHANGE = 3
CAR_EVERY_M = 70.0
MOST_JITTER = 0.25

BEFORE = Season(
    sun_azimuth=118,
    sun_elevation=50,
    grass=(104, 120, 78),
    leaves=(1.0, 1.0, 1.0),
    exposure=(1.0, 1.0, 1.0),
)
AFTER = Season(
    sun_azimuth=242,
    sun_elevation=42,
    grass=(150, 142, 102),
    leaves=(1.14, 1.02, 1.0),
    exposure=(1.08, 1.06, 1.02),
)


@dataclass(frozen=True, eq=False)
class MadeScene:
    """A place at two dates, with the truth about its buildings.

    Attributes:
        before: (3, rows, columns) uint8, red, green, blue.
        after: as `before`, of the same ground.
        buildings: every building of either date in the scene's CRS, disjoint; columns: id
            from 1, status ("kept", "new" or "demolished"), height_m of the ridge in metres,
            and geometry, the exact footprint.
        transform: from column, row to x, y of the CRS; north is up.
        crs: projected, in metres.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    buildings: gpd.GeoDataFrame
    transform: Affine
    crs: CRS

    def standing(self, date: Literal["before", "after"]) -> gpd.GeoDataFrame:
        """Return the buildings that stand at a date, with the columns of `buildings`."""
        absent = {"before": "new", "after": "demolished"}[date]
        return self.buildings[self.buildings["status"] != absent].reset_index(drop=True)


def make_scene(
    rows: int = 1024,
    columns: int = 1024,
    seed: int = 0,
    pixel_size_m: float = 0.3,
    epsg: int = 32636,
) -> MadeScene:
    """Make a suburb and photograph it at two dates.

    Between the dates some houses are pulled down and some are built, the sun moves, the grass
    dries out and the traffic changes.

    Args:
        rows: height of the pictures in pixels, at least 64.
        columns: width of the pictures in pixels, at least 64.
        seed: the same seed makes the same scene.
        pixel_size_m: side of a pixel in metres, 0.1 to 1.
        epsg: code of a projected CRS in metres.

    Raises:
        InputError: a size is out of its range, or the CRS is unknown or not in metres.
    """
    _check_size(rows, columns, pixel_size_m)
    crs = _metric_crs(epsg)
    plan, change, ground, *dates = np.random.SeedSequence(seed).spawn(5)
    extent = (columns * pixel_size_m, rows * pixel_size_m)
    place = plan_place(np.random.default_rng(plan), extent)
    status = _statuses(np.random.default_rng(change), len(place.houses))
    pictures = [
        photograph(
            _seen(place, status, absent, rng),
            season,
            (rows, columns),
            pixel_size_m,
            np.random.default_rng(ground),
            rng,
        )
        for season, absent, rng in (
            (BEFORE, "new", np.random.default_rng(dates[0])),
            (AFTER, "demolished", np.random.default_rng(dates[1])),
        )
    ]
    transform = Affine(pixel_size_m, 0, EAST_M, 0, -pixel_size_m, NORTH_M)
    return MadeScene(*pictures, _buildings(place, status, crs), transform, crs)


def rough_boxes(
    buildings: gpd.GeoDataFrame, seed: int = 0, jitter: float = 0.1
) -> gpd.GeoDataFrame:
    """Draw a box around each building as a person would: near enough, mostly too wide.

    Args:
        buildings: any polygons.
        seed: the same seed draws the same boxes.
        jitter: how far a side may be off, as a share of the box's width or height, 0 to 0.25.

    Returns:
        GeoDataFrame: the same rows and columns, with upright boxes as geometry.

    Raises:
        InputError: the jitter is out of its range.
    """
    if not 0 <= jitter <= MOST_JITTER:
        raise InputError(f"jitter is {jitter}: give 0 to {MOST_JITTER}, a share of the box's side")
    bounds = buildings.geometry.bounds.to_numpy()
    low, high = bounds[:, :2], bounds[:, 2:]
    # A person clips a corner now and then, and more often leaves a margin.
    off = np.random.default_rng(seed).uniform(-0.3, 1.0, (2, *low.shape)) * jitter * (high - low)
    boxes = shapely.box(*(low - off[0]).T, *(high + off[1]).T)
    return buildings.set_geometry(gpd.GeoSeries(boxes, buildings.index, crs=buildings.crs))


def write_scene(scene: MadeScene, folder: Path) -> dict[str, Path]:
    """Write a scene as files that a GIS opens.

    Args:
        scene: what to write.
        folder: where; made if absent, and files of these names are replaced.

    Returns:
        dict: paths by name: "before" and "after" (GeoTIFF), "buildings" (GeoPackage, one layer
            a date) and "boxes" (GeoPackage, rough boxes of what stands at "before").
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.tif" for name in ("before", "after")}
    paths |= {name: folder / f"{name}.gpkg" for name in ("buildings", "boxes")}
    _write_picture(paths["before"], scene.before, scene)
    _write_picture(paths["after"], scene.after, scene)
    # Layers are added to a file that exists: without this an old one would live on.
    paths["buildings"].unlink(missing_ok=True)
    paths["boxes"].unlink(missing_ok=True)
    scene.standing("before").to_file(paths["buildings"], layer="before")
    scene.standing("after").to_file(paths["buildings"], layer="after")
    rough_boxes(scene.standing("before")).to_file(paths["boxes"], layer="boxes")
    return paths


def _check_size(rows: int, columns: int, pixel_size_m: float) -> None:
    if min(rows, columns) < LEAST_PIXELS:
        raise InputError(
            f"a scene of {rows} x {columns} pixels has no room for a house: "
            f"give rows and columns of at least {LEAST_PIXELS}"
        )
    finest, coarsest = PIXEL_SIZES_M
    if not finest <= pixel_size_m <= coarsest:
        raise InputError(f"pixel_size_m is {pixel_size_m}: give {finest} to {coarsest} metres")


def _metric_crs(epsg: int) -> CRS:
    try:
        crs = CRS.from_epsg(epsg)
    except CRSError as error:
        raise InputError(f"EPSG:{epsg} is not known: give a projected CRS, as 32636") from error
    if not crs.is_projected or crs.linear_units_factor[1] != 1:
        raise InputError(f"EPSG:{epsg} is not in metres: give a projected CRS in metres, as 32636")
    return crs


def _statuses(rng: Generator, count: int) -> NDArray[np.str_]:
    status = np.full(count, "kept", "<U10")
    new, demolished = (
        max(round(share * count), int(count >= FEWEST_TO_CHANGE)) for share in (NEW, DEMOLISHED)
    )
    drawn = rng.permutation(count)
    status[drawn[:new]] = "new"
    status[drawn[new : new + demolished]] = "demolished"
    return status


def _seen(place: Place, status: NDArray[np.str_], absent: str, rng: Generator) -> Place:
    gone = [house for house, is_gone in zip(place.houses, status == absent, strict=True) if is_gone]
    return replace(
        place,
        houses=tuple(house for house in place.houses if house not in gone),
        # What is yet to be built has left no trace.
        ruins=tuple(gone) if absent == "demolished" else (),
        cars=_traffic(rng, place.streets),
    )


def _traffic(rng: Generator, streets: tuple[Street, ...]) -> NDArray[np.float64]:
    """Return (N, 3) x, y in metres and direction in radians of cars."""
    cars = [np.empty((0, 3))]
    for street in streets:
        end = street.line.length
        at = rng.uniform(0, end - 1, rng.poisson(end / CAR_EVERY_M))
        here, ahead = (
            shapely.get_coordinates(shapely.line_interpolate_point(street.line, at + step))
            for step in (0, 1)
        )
        angle = np.arctan2(ahead[:, 1] - here[:, 1], ahead[:, 0] - here[:, 0])
        aside = street.width / 4 * rng.choice([-1, 1], at.size)
        x, y = here.T + aside * np.stack([-np.sin(angle), np.cos(angle)])
        cars.append(np.stack([x, y, angle], axis=1))
    return np.concatenate(cars)


def _buildings(place: Place, status: NDArray[np.str_], crs: CRS) -> gpd.GeoDataFrame:
    to_map = (1, 0, 0, -1, EAST_M, NORTH_M)
    return gpd.GeoDataFrame(
        {
            "id": np.arange(1, status.size + 1),
            "status": status.tolist(),
            "height_m": [house.height() for house in place.houses],
        },
        geometry=[affine_transform(house.outline, to_map) for house in place.houses],
        crs=crs,
    )


def _write_picture(path: Path, pixels: NDArray[np.uint8], scene: MadeScene) -> None:
    bands, rows, columns = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=bands, dtype="uint8",
        crs=scene.crs, transform=scene.transform, photometric="RGB",
        tiled=True, blockxsize=256, blockysize=256, compress="deflate", predictor=2,
    ) as picture:  # fmt: skip
        picture.write(pixels)
