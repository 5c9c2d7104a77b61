"""What `samdomain segment` or `samdomain change` was given, however it finds things."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samdomain_geo.engine.conduct import Place
from samdomain_geo.engine.identity import Identity
from samdomain_geo.engine.plan import Grid, Manifest, Tiling, now, software
from samdomain_geo.objects.objects import Shaping
from samdomain_geo.objects.segmentation import BLOCKS
from samdomain_geo.polygons.vector_file import VectorFormat
from samdomain_geo.scenes.nodata import parse_nodata
from samdomain_geo.scenes.raster import Scene, parse_bands

SEGMENT, CHANGE = "segment", "change"
"""Commands whose results these flags decide."""


@dataclass(frozen=True)
class Given:
    """Flags of the command that decide its results.

    Attributes:
        scene: raster to look at; of a pair the earlier one.
        out: folder of the results.
        weights: name or path of the weights, if named.
        adapter: folder or name of the adapter, if named.
        vector: format of the polygons.
        flags: the other flags by name, as the record tells them.
        verb: the command.
    """

    scene: str
    out: Path
    weights: str | None
    adapter: str | None
    vector: VectorFormat
    flags: Mapping[str, Any]
    verb: str = SEGMENT

    @property
    def which(self) -> tuple[tuple[int, ...] | None, float | None]:
        """Bands and value of nodata that are asked for; None for the scene's own."""
        return parse_bands(self.flags["bands"]), parse_nodata(self.flags["nodata"])

    @property
    def shaping(self) -> Shaping:
        """What becomes of outlines."""
        names = ("min_area", "simplify", "regularize")
        return Shaping(*(self.flags[name] for name in names))

    def place(self, results: tuple[str, ...]) -> Place:
        """Return where blocks and results go."""
        return Place(self.out / BLOCKS, tuple(self.out / name for name in results))

    def manifest(
        self,
        scene: Scene,
        tiling: Tiling,
        threads: int,
        measured: Mapping[str, Any],
        inputs: Mapping[str, Any],
    ) -> Manifest:
        """Return the plan of the run; see `Manifest`."""
        return Manifest(
            verb=self.verb,
            scene=Identity.of(scene.path, scene.dataset.files),
            grid=Grid.of(scene),
            tiling=tiling,
            threads=threads,
            date=now(),
            parameters=dict(self.flags),
            measured=measured,
            inputs=inputs,
            versions=software(),
        )
