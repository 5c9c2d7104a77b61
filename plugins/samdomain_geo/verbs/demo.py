"""`samdomain demo`: make a scene, segment it, and compare the result with the truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from samdomain.errors import InputError
from samdomain_geo.made_scene import make_scene, write_scene
from samdomain_geo.objects.segmentation import Segmentation
from samdomain_geo.verbs.segment import segment


@dataclass(frozen=True, eq=False)
class Demonstration:
    """Result of `demo`.

    Attributes:
        files: what was made, by name.
        segmentation: result on the earlier scene.
        mean_iou: mean IoU of the polygons with the true footprints.
        box_iou: the same for the rough boxes themselves, as a baseline.
    """

    files: dict[str, Path]
    segmentation: Segmentation
    mean_iou: float
    box_iou: float

    def summary(self) -> dict[str, Any]:
        """Return the files, the figures, and the command that does it again."""
        scene, boxes = self.files["before"], self.files["boxes"]
        return {
            **{name: str(path) for name, path in self.files.items()},
            "objects": len(self.segmentation.objects),
            "mean IoU with the truth": round(self.mean_iou, 3),
            "mean IoU of the boxes": round(self.box_iou, 3),
            "look at": str(self.segmentation.folder / "preview.png"),
            "once more": f"samdomain segment {scene} --prompts {boxes} --out NEW_FOLDER",
        }


def demo(*, out: Path, size: int = 512, seed: int = 0, overwrite: bool = False) -> Demonstration:
    """Make an aerial-like scene of two dates with its truth, and segment its buildings.

    Args:
        out: folder for the scenes, the true footprints, the rough boxes and the result.
        size: side of the scene in pixels of 0.3 m, 64 at least.
        seed: another number makes another scene.
        overwrite: replace an earlier demo in the folder.

    Returns:
        Demonstration: what was made, and how well the result meets the truth.

    Raises:
        InputError: the size is too small, or the folder holds a demo or cannot be written.
    """
    out = Path(out)
    if (out / "before.tif").exists() and not overwrite:
        raise InputError(f"{out} already holds a demo: give another --out, or --overwrite")
    files = write_scene(make_scene(size, size, seed), out)
    whole = segment(
        files["before"], prompts=files["boxes"], out=out / "segment", overwrite=overwrite
    )
    result = cast(Segmentation, whole)  # a run that is neither a part nor dry
    truth = gpd.read_file(files["buildings"], layer="before").set_index("id").geometry
    # The boxes' own id comes back as prompt_id: id is ours.
    mapped = truth.loc[result.objects["prompt_id"]].to_numpy()
    boxes = gpd.read_file(files["boxes"]).set_index("id").geometry
    return Demonstration(
        files,
        result,
        _mean_iou(result.objects.geometry.to_numpy(), mapped),
        _mean_iou(boxes.loc[result.objects["prompt_id"]].to_numpy(), mapped),
    )


def _mean_iou(found: NDArray[np.object_], mapped: NDArray[np.object_]) -> float:
    both = shapely.area(shapely.intersection(found, mapped))
    union = shapely.area(found) + shapely.area(mapped) - both
    return float(np.nan_to_num(both / union).mean())  # a missing polygon has no area: it counts 0
