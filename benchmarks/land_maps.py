"""Maps of classes, blended from overlapping chips, and their figures against the truth."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from real_data import FOLDER
from torch import Tensor

from samdomain.adapter_file import AdapterCard
from samdomain.recipes import Batch, Legend
from samdomain.training.pictures import read_values
from samdomain.training.tallies import ClassTally
from samdomain_geo.classes.class_network import chips_for
from samdomain_geo.polygons.vector import pixel_width
from samdomain_geo.scenes.chips import Blend, Chips
from samdomain_geo.scenes.ellipsoid import Ellipsoid
from samdomain_geo.scenes.raster import open_scene

Look = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Gives probabilities (B, K, rows, columns) of chips (B, bands, rows, columns), 0 to 255."""
Network = Callable[[Chips], Look]
"""Makes what looks at chips of a grid."""


def on_scene(network: Network, card: AdapterCard, name: str, first: int) -> dict[str, float]:
    """Measure on the columns of a scene from one on, in chips of the training's ground size."""
    with open_scene(FOLDER / f"{name}.tif") as scene:
        pixels, _ = scene.read(Window(0, 0, scene.columns, scene.rows))
        ellipsoid = Ellipsoid.of(scene.crs)
        pixel = None if ellipsoid is None else pixel_width(scene, ellipsoid)
        chips = chips_for(card, 256, pixel)
    truth = (read_values(FOLDER / f"{name}_mask.tif") > 0).long()
    tally = ClassTally(Legend(card.classes))
    found = blended(network(chips), chips, pixels[..., first:])
    add(tally, found, truth[:, first:], name)
    return {**rounded(tally), "chip": chips.size}


def blended(looking: Look, chips: Chips, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities (K, rows, columns) of an image, blended from overlapping chips."""
    rows, columns = image.shape[1:]
    whole = Window(0, 0, columns, rows)
    blend: Blend | None = None
    for chip in chips.over(whole, rows, columns):
        part = image[
            :,
            chip.row_off : chip.row_off + chip.height,
            chip.col_off : chip.col_off + chip.width,
        ]
        values = looking(part[None])[0]
        blend = blend or Blend(whole, len(values))
        blend.add(chip, values, chips.weights(chip, rows, columns))
    if blend is None:
        raise ValueError("an image without pixels")
    return blend.mean()


def add(tally: ClassTally, found: NDArray[np.float32], truth: Tensor, name: str) -> None:
    """Count an image."""
    image = torch.zeros(3, *truth.shape)
    tally.add(torch.from_numpy(found).clamp(min=1e-9).log(), Batch([image], [truth], [name]))


def rounded(tally: ClassTally) -> dict[str, float]:
    """Return figures as they are told."""
    return {name.removeprefix("pooled_"): round(v, 4) for name, v in tally.pooled().items()}
