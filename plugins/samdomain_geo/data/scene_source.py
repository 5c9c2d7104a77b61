"""Scenes and a vector file of labels as the data of `samdomain fit`."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain.training.sample import Found, Sample, Scale, Source, Split
from samdomain_geo.data.labels import IGNORED, Labels, PlacedLabels, Unlabelled
from samdomain_geo.data.scene_chip import SceneChip, SceneClasses, SeenScene
from samdomain_geo.data.spatial_split import BlockSplit
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.nodata import parse_nodata
from samdomain_geo.scenes.raster import Scene, open_scene, parse_bands
from samdomain_geo.scenes.stretch import DISPLAY_RANGE, parse_stretch

logger = logging.getLogger(__name__)

BLOCKS = "blocks"
"""What says that the scenes are shared out by blocks of chips."""

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_GLANCE = 64  # pixels each way in which a chip is looked at for data


@dataclass(frozen=True)
class SceneSource(Source):
    """Cut scenes into chips, and burn labels into them.

    Every chip is read when it is needed, and nothing is written. Chips without data or without
    labels are left out; nodata counts as unlabelled. Rasters may have any size, type and CRS, as
    may the labels.

    Attributes:
        scenes: rasters; paths are below the data's folder.
        labels: vector file of polygons, in any CRS.
        class_column: see `Labels`.
        classes: see `Labels`.
        unlabelled: see `Labels`.
        layer: layer of the labels' file.
        where: condition for rows of the labels, in OGR's SQL.
        size: side of a chip in pixels: what the model sees at a time.
        overlap: pixels that neighbouring chips of training share, where areas say the split, that
            of validation too: blocks do not overlap.
        split: "blocks" shares out blocks of neighbouring chips by chance; or a vector file of
            areas whose column `split` says train, val or test. Where none says val, blocks in
            those for training are shared out.
        block: chips each way in a block.
        val: share of the blocks for validation.
        test: share of the blocks for the test.
        seed: fixes the chance of the sharing.
        bands: bands to read, as "4,3,2"; by default red, green and blue.
        nodata: see `samdomain segment`.
        stretch: see `samdomain segment`.
        balanced: draw chips of rare classes more often in training.
    """

    scenes: tuple[str, ...]
    labels: str
    class_column: str | None = None
    classes: tuple[str, ...] = ()
    unlabelled: Unlabelled = "background"
    layer: str | None = None
    where: str | None = None
    size: int = 512
    overlap: int = 0
    split: str = BLOCKS
    block: int = 4
    val: float = 0.2
    test: float = 0.0
    seed: int = 0
    bands: str | None = None
    nodata: str | None = None
    stretch: str | None = None
    balanced: bool = True

    def __post_init__(self) -> None:
        """Refuse chips that cover nothing new, and lists that YAML has."""
        for name in ("scenes", "classes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.scenes:
            raise InputError("no scene is named: give one or more, as --data.source.scenes")
        if min(self.size, self.block) < 1:
            raise InputError(
                f"chips of {self.size} pixels in blocks of {self.block}: give 1 or more of both"
            )
        if not 0 <= self.overlap < self.size:
            raise InputError(
                f"chips of {self.size} pixels cannot overlap by {self.overlap}: give 0 to "
                f"{self.size - 1}"
            )

    def named(self, folder: Path) -> Labels:
        """Return the labels below the data's folder."""
        return Labels(
            Path(folder) / self.labels,
            self.class_column,
            self.classes,
            self.unlabelled,
            self.layer,
            self.where,
        )

    def scale(self, folder: Path) -> Scale:
        """Return the side of a chip, and the mean ground size of the scenes' pixels."""
        sizes: list[float] = []
        for path in self.scenes:
            with open_scene(Path(folder) / path, parse_bands(self.bands)) as scene:
                ellipsoid = Ellipsoid.of(scene.crs)
                if ellipsoid is not None:
                    sizes.append(pixel_width(scene, ellipsoid))
        return Scale(self.size, float(np.mean(sizes)) if sizes else None, DISPLAY_RANGE)

    def find(self, folder: Path, split: Split) -> Found:
        """Find the chips of a split; see `Source.find`."""
        folder = Path(folder)
        changed = tuple(_changed(path) for path in self._files(folder))
        return Found(_share_out(self, folder, changed)[split])

    def _files(self, folder: Path) -> Iterator[Path]:
        yield from (folder / scene for scene in self.scenes)
        yield folder / self.labels
        if self.split != BLOCKS:
            yield folder / self.split


def _changed(path: Path) -> int:
    """Return when a file changed; 0 of what is no file on this machine, as a URL."""
    return path.stat().st_mtime_ns if path.exists() else 0


@dataclass(frozen=True, eq=False)
class _Cell:
    """A chip with what is known of it."""

    sample: Sample
    pixels: NDArray[np.int64]
    block: tuple[int, int, int]


@lru_cache(maxsize=4)
def _share_out(
    source: SceneSource,
    folder: Path,
    changed: tuple[int, ...],  # noqa: ARG001 - edited files are shared out anew
) -> Mapping[Split, tuple[Sample, ...]]:
    shared: dict[Split, list[_Cell]]
    if source.split == BLOCKS:
        shared = _blocks(_all_cells(source, folder), source, source.test)
    else:
        shared = {split: _all_cells(source, folder, split) for split in _SPLITS}
        if shared["train"] and not shared["val"]:
            shared.update(_validated(source, folder))
    if not shared["train"]:
        raise _nothing(source)
    weighed = _weighed(shared["train"]) if source.balanced else shared["train"]
    chosen = {**shared, "train": weighed}
    return {split: tuple(cell.sample for cell in cells) for split, cells in chosen.items()}


def _blocks(cells: list[_Cell], source: SceneSource, test: float) -> dict[Split, list[_Cell]]:
    """Share chips out by their blocks."""
    if not cells:
        raise _nothing(source)
    sharing = BlockSplit(source.val, test, source.seed)
    splits = sharing([c.block for c in cells], np.stack([c.pixels for c in cells]))
    return {s: [c for c in cells if splits[c.block] == s] for s in _SPLITS}


def _validated(source: SceneSource, folder: Path) -> dict[Split, list[_Cell]]:
    """Share out the areas of training, where no area is for validation."""
    # Chips that overlap would tell validation what training has seen.
    apart = replace(source, overlap=0)
    cells = _all_cells(apart, folder, "train")
    if len({cell.block for cell in cells}) * source.val < 1:
        # A block would be more than the share.
        cells = _all_cells(replace(apart, block=1), folder, "train")
    parts = _blocks(cells, source, 0.0)
    logger.warning(
        "no chip lies in an area of %s for validation: it is taken from those for training, %d of "
        "their %d chips",
        source.split, len(parts["val"]), len(cells),
    )  # fmt: skip
    return {"train": parts["train"], "val": parts["val"]}


def _all_cells(source: SceneSource, folder: Path, split: Split | None = None) -> list[_Cell]:
    return [one for i in range(len(source.scenes)) for one in _cells(source, folder, i, split)]


def _cells(source: SceneSource, folder: Path, number: int, split: Split | None) -> Iterator[_Cell]:
    path = str(folder / source.scenes[number])
    bands, nodata = parse_bands(source.bands), parse_nodata(source.nodata)
    classes = source.named(folder)
    count = len(classes.names())
    with open_scene(path, bands, nodata) as scene:
        stretch = parse_stretch(source.stretch)(scene)
        seen = SeenScene(path, bands, nodata, stretch, scene.transform, _changed(Path(path)))
        labels, areas = classes.over(scene), _areas(source, folder, scene, split)
        for window in _windows(source, scene, overlapping=split == "train"):
            chip = SceneChip(seen, window)
            masks = SceneClasses(chip, labels, areas)
            burnt = np.where(masks.inside(), labels.burn(window), IGNORED)
            pixels = np.bincount(burnt.ravel(), minlength=IGNORED + 1)[:count]
            if not pixels.any() or not _has_data(scene, window):
                continue
            name = f"{scene.name}@{round(window.row_off)},{round(window.col_off)}"
            # The last chip of a row reaches back over the one before: their block is the same.
            side = source.size * source.block
            block = number, int(window.row_off // side), int(window.col_off // side)
            sample = Sample(name, chip, masks, value_range=DISPLAY_RANGE)
            yield _Cell(sample, pixels, block)


def _areas(
    source: SceneSource, folder: Path, scene: Scene, split: Split | None
) -> PlacedLabels | None:
    if split is None:
        return None
    path = folder / source.split
    found = Labels(path, "split", _SPLITS, unlabelled="ignore").over(scene)
    own = found.classes == _SPLITS.index(split)
    return PlacedLabels(found.shapes[own], found.classes[own], IGNORED)


def _windows(source: SceneSource, scene: Scene, *, overlapping: bool) -> Iterator[Window]:
    """Yield the chips row by row; the last ones end where the scene does."""
    stride = source.size - (source.overlap if overlapping else 0)

    def starts(length: int) -> list[int]:
        last = max(0, length - source.size)
        return [*range(0, last, stride), last]

    height, width = min(source.size, scene.rows), min(source.size, scene.columns)
    for top in starts(scene.rows):
        for left in starts(scene.columns):
            yield Window(left, top, width, height)


def _has_data(scene: Scene, window: Window) -> bool:
    shape = min(_GLANCE, round(window.height)), min(_GLANCE, round(window.width))
    return bool(scene.read(window, shape)[1].any())


def _weighed(cells: list[_Cell]) -> list[_Cell]:
    """Weigh chips by how rare their classes are, softened by a square root.

    A chip of classes in the shares of all has the weight 1.
    """
    pixels = np.stack([cell.pixels for cell in cells]).astype(np.float64)
    shares = pixels / pixels.sum(axis=1, keepdims=True)
    usual = pixels.sum(axis=0) / pixels.sum()
    there = usual > 0
    rare = np.sqrt((shares[:, there] / usual[there]).mean(axis=1))
    return [
        replace(cell, sample=replace(cell.sample, weight=float(weight)))
        for cell, weight in zip(cells, rare, strict=True)
    ]


def _nothing(source: SceneSource) -> InputError:
    return InputError(
        f"no chip of {', '.join(source.scenes)} has both data and labels of {source.labels}: do "
        "they lie in the same place?"
    )
