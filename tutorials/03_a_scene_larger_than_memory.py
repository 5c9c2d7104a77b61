# %% [markdown]
# # A scene larger than memory
#
# You have a map of classes for a whole district, a raster that no array can hold, and want
# polygons: each building one row, the river one row, although no step ever sees more than a small
# square of it. On the way the job will be killed, and go on. Nothing here needs weights.
#
# Run it as a script, or open it as a notebook (`jupytext --to ipynb`).

# %%
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.features import rasterize
from rasterio.windows import Window

from samdomain.errors import InputError
from samdomain_geo import polygonize
from samdomain_geo.verbs.finish import finish

# A shorter run for tests: python 03_a_scene_larger_than_memory.py 4096
SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 16384
BLOCK = 1024
RIVER, ISLAND = 60, 20  # half of their widths in pixels
YARD, ROOF = 40, 22  # pixels from one building to the next, and across one
folder = Path(tempfile.mkdtemp(prefix="samdomain-tutorial-"))
# Outputs carry a date. With a fixed one, two runs can be compared byte by byte.
os.environ["SOURCE_DATE_EPOCH"] = "1000000000"

# %% [markdown]
# ## A large raster
#
# A river (class 1) with islands winds through all of it, buildings (class 2) stand in a few places,
# and the rest is nodata. It is written strip by strip, since we too keep to our memory.


# %%
def write_map(path: Path, size: int) -> None:
    profile = {
        "driver": "GTiff",
        "width": size,
        "height": size,
        "count": 1,
        "dtype": "uint8",
        "nodata": 0,
        "crs": "EPSG:32636",
        "transform": Affine(0.5, 0, 500_000, 0, -0.5, 30_000),
        "tiled": True,
        "compress": "DEFLATE",
        "sparse_ok": True,
    }
    columns = np.arange(size, dtype=np.int32)[None]
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, size, 256):
            rows = np.arange(top, top + 256, dtype=np.int32)[:, None]
            centre = (size / 2 + size / 5 * np.sin(rows / 700)).astype(np.int32)
            away = abs(columns - centre)
            island = (away < ISLAND) & (rows % 500 < RIVER)
            town = (rows // 900 + columns // 900) % 5 == 0
            building = town & (rows % YARD < ROOF) & (columns % YARD < ROOF)
            strip = np.where(building, 2, 0)
            strip[(away < RIVER) & ~island] = 1
            # One more building, where four blocks meet.
            from_corner = np.maximum(abs(rows - BLOCK), abs(columns - BLOCK))
            strip[from_corner < YARD] = 0
            strip[from_corner < ROOF] = 2
            target.write(strip.astype(np.uint8), 1, window=Window(0, top, size, 256))


write_map(folder / "map.tif", SIZE)
write_map(folder / "small.tif", SIZE // 4)
print(f"{SIZE} x {SIZE} pixels: {SIZE**2 / 1e6:.0f} MB as an array, and 16 times the small map")

# %% [markdown]
# ## The plan
#
# Work on a scene begins with a *plan*: the scene is cut into square *blocks*, and everything that
# decides their content (the file's hash, all flags, the versions of the software) is written into a
# *manifest*. A block owns its pixels. What it holds depends on the manifest alone, so that blocks
# may be done in any order, by anyone, at any time.
#
# Where a block must look beyond its own pixels it reads a *halo* around them: a network needs its
# neighbourhood, and an object that is cut by the edge must be seen from both sides. Tracing needs
# none: pieces of regions are joined by the pixels along the edges.
#
# A dry run does one block with data in it, keeps nothing, and scales up.

# %%
for name, value in (
    polygonize(folder / "map.tif", out=folder / "map.gpkg", block=BLOCK, dry_run=True)
    .summary()
    .items()
):
    print(f"{name:18} {value:>13,}")

# %% [markdown]
# ## The run, and its memory
#
# Reading a block, computing another and writing a third happen at the same time. So three blocks
# are in memory, and that is all: what a process needs does not grow with the scene. We look at the
# most that each of two runs ever had, a quarter of the sides first.


# %%
def command(scene: str, out: Path, *flags: str) -> list[str]:
    words = ["polygonize", str(folder / scene), "--out", str(out), "--block", str(BLOCK)]
    return [sys.executable, "-m", "samdomain", *words, "--quiet", *flags]


def peak_after(words: list[str]) -> float:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    # The largest of all processes that we started and that have ended, in kB on Linux.
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


small = peak_after(command("small.tif", folder / "small.gpkg"))
start = time.perf_counter()
large = peak_after(command("map.tif", folder / "whole.gpkg"))
print(f"peak memory: {small:.0f} MB for the small map, {large:.0f} MB for 16 times the pixels")
print(f"seconds for the large one: {time.perf_counter() - start:.1f}")
assert large < 1.3 * small

# %% [markdown]
# ## Killed, and resumed
#
# Each finished block is a file in a folder beside the result, with a checksum, and gets its name
# only when it is whole and on the disk. So a run may stop at any moment: a power cut, a full disk,
# the end of your time on a cluster. Here it is `kill -9`.

# %%
out = folder / "killed.gpkg"
blocks = folder / "killed.gpkg.blocks"
process = subprocess.Popen(command("map.tif", out))
while not list(blocks.glob("*.block")) and process.poll() is None:
    time.sleep(0.01)
process.kill()
process.wait()
print(f"killed with {len(list(blocks.glob('*.block')))} blocks done; a file: {out.exists()}")

# %% [markdown]
# `--resume` does the rest. It refuses to mix blocks that do not belong together: with another flag,
# another version, or a map that was edited meanwhile, it says what has changed.

# %%
try:
    polygonize(folder / "map.tif", out=out, block=BLOCK, simplify=1.0, resume=True)
except InputError as error:
    print("refused:", str(error).split("fit the new ones: ")[1].split(": run it")[0])

resumed = polygonize(folder / "map.tif", out=out, block=BLOCK, resume=True)
same = out.read_bytes() == (folder / "whole.gpkg").read_bytes()
print(f"resumed: {resumed.summary()['polygons']} polygons, the same bytes: {same}")
assert same
assert not blocks.exists()

# %% [markdown]
# ## On many machines
#
# `--workers 8` shares the blocks among processes on this machine, `--scheduler tcp://...` among the
# workers of a Dask cluster. Where there is only a queue of batch jobs, each job of an array does
# its part, and one more puts them together. In a SLURM script:
#
#     samdomain polygonize map.tif --out map.gpkg --part $SLURM_ARRAY_TASK_ID/2
#     samdomain finish map.gpkg.blocks          # when all have ended
#
# All of these make the same bytes.

# %%
for part in ("2/2", "1/2"):  # the order does not matter
    facts = polygonize(folder / "map.tif", out=folder / "map.gpkg", block=BLOCK, part=part)
    print(f"part {part}: {facts.summary()['blocks to do']} blocks are still to do")
finished = finish(folder / "map.gpkg.blocks")
same = (folder / "map.gpkg").read_bytes() == (folder / "whole.gpkg").read_bytes()
print(f"finished in {finished.summary()['seconds']}, the same bytes: {same}")
assert same

# %% [markdown]
# ## One polygon, however many blocks
#
# The river touches blocks from the first row to the last, and is one row with its islands as
# holes. So is the building where four blocks meet. Painted back, the polygons are the map.

# %%
regions = resumed.regions
river = regions[regions["class_id"] == 1]
islands = sum(len(part.interiors) for shape in river.geometry for part in shape.geoms)
print(f"river: {len(river)} row, {islands} islands, {river['area_m2'].sum() / 1e4:.1f} ha")
with rasterio.open(folder / "map.tif") as scene:
    x, y = scene.transform @ (BLOCK, BLOCK)
    meeting = regions.cx[x - 1 : x + 1, y - 1 : y + 1]
    both = either = 0
    for top in range(0, SIZE, BLOCK):
        window = Window(0, top, SIZE, BLOCK)
        place = scene.window_transform(window)
        near = regions.cx[:, slice(*sorted((place.f, (place @ (0, BLOCK))[1])))]
        pairs = zip(near.geometry, near["class_id"], strict=True)
        painted = rasterize(pairs, (BLOCK, SIZE), transform=place, dtype="uint8")
        values = scene.read(1, window=window)
        both += int(((painted == values) & (values > 0)).sum())
        either += int(((painted > 0) | (values > 0)).sum())
print(f"rows at the corner of four blocks: {len(meeting)}")
print(f"IoU of the polygons with the map: {both / either:.4f}")
assert len(river) == len(meeting) == 1
assert both == either

# %% [markdown]
# ## What to know
#
# - Larger blocks are a little faster and take more memory; `--block` is a multiple of 512.
# - `--simplify` keeps the borders that neighbours share, also across blocks, and so they neither
#   overlap nor part.
# - `--dissolve` makes one row of all regions of a value: for `instances.tif`, where an object may
#   have several parts. Its `id` is the value.
# - The folder of blocks goes away when the file is there. If you change your mind, remove it, or
#   begin anew with `--overwrite`.
