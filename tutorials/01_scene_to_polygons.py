# %% [markdown]
# # From a scene and rough boxes to polygons
#
# You have an orthophoto, and somebody drew boxes around its buildings in a hurry. You want their
# outlines, georeferenced, as a layer for QGIS. This tutorial makes such a scene, so that the truth
# is known, and does the job with real weights that come with `samdomain[embedded]`.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`).

# %%
import sys
import tempfile
from pathlib import Path

import geopandas as gpd
import rasterio

from samdomain_geo import segment
from samdomain_geo.made_scene import make_scene, rough_boxes, write_scene

# A shorter run for tests: python 01_scene_to_polygons.py 256
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 512
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))

# %% [markdown]
# ## The inputs
#
# A scene is any raster that GDAL reads, prompts are any vector file, in any CRS. Here the boxes
# are in longitude and latitude and the scene is in UTM, as it happens.

# %%
made = make_scene(SIZE, SIZE, seed=1)
files = write_scene(made, folder)
boxes = rough_boxes(made.standing("before"), seed=1).to_crs(4326)
boxes.to_file(folder / "hurried.geojson")
print(f"{len(boxes)} boxes around the buildings of a scene of {SIZE} x {SIZE} pixels")

# %% [markdown]
# ## The job
#
# The same as
# `samdomain segment before.tif --prompts hurried.geojson --out result --simplify 0.3`.
# Each object is looked at in a window of its own, about 2.5 times its box, so that no outline has
# a seam. `simplify` takes the stairs of the pixels out of the polygons, within one pixel here.

# %%
result = segment(
    files["before"], prompts=folder / "hurried.geojson", out=folder / "result", simplify=0.3
)
print(result.objects[["id", "score", "area_m2", "flags", "prompt_id"]].to_string(index=False))

# %% [markdown]
# ## The outputs
#
# `polygons.gpkg` has one row for each box inside the scene. `id` is the value in `instances.tif`,
# `score` the model's own estimate of the IoU, areas are geodesic square metres. Columns of the
# prompts are carried over; where their name is taken, as `id` is, they are called `prompt_id`.

# %%
with rasterio.open(result.folder / "instances.tif") as ids:
    print(f"instances.tif: {ids.dtypes[0]}, {ids.crs}, {ids.width} x {ids.height} pixels")
print("a picture to judge by:", result.folder / "preview.png")

# %% [markdown]
# ## How good is it?
#
# We made the scene, so we know. The rough boxes themselves are the baseline.


# %%
def mean_iou(shapes: gpd.GeoSeries, truth: gpd.GeoSeries) -> float:
    both = shapes.intersection(truth, align=False).area
    return float((both / shapes.union(truth, align=False).area).mean())


truth = made.standing("before").set_index("id").geometry.loc[result.objects["prompt_id"]]
drawn = boxes.set_index("id").to_crs(truth.crs).geometry.loc[result.objects["prompt_id"]]
print(f"mean IoU of the polygons with the truth: {mean_iou(result.objects.geometry, truth):.2f}")
print(f"mean IoU of the boxes themselves: {mean_iou(drawn, truth):.2f}")

# %% [markdown]
# ## What to know
#
# - LiteMedSAM understands boxes only. Points and clicks need other weights.
# - A box over the scene's edge is cut there and flagged `clipped`; a box in which nothing is found
#   keeps its row, without geometry, flagged `empty`.
# - Boxes help most when they are near the object: about a tenth of its side off is fine.
# - Nothing is adapted yet. Where the model is weak on your imagery, adapting it is the next step.
