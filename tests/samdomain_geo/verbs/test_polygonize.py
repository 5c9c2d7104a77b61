import json
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from samdomain.cli import main
from samdomain_geo import polygonize

NAMES = (
    "<PAMDataset><PAMRasterBand band='1'><CategoryNames><Category></Category>"
    "<Category>water</Category><Category>roof</Category></CategoryNames></PAMRasterBand>"
    "</PAMDataset>"
)


@pytest.fixture
def mask(write_scene: Any) -> Path:
    """Ten by ten pixels of 0.5 m: water on the left, a roof and a stray pixel of it."""
    values = np.zeros((1, 10, 10), np.uint8)
    values[0, :, :4] = 1
    values[0, 2:8, 4:8] = 2
    values[0, 9, 9] = 2
    path = write_scene(values, "mask.tif", nodata=255)
    path.with_suffix(".tif.aux.xml").write_text(NAMES)
    return path


def run(mask: Path, out: Path, *flags: str) -> int:
    return main(["polygonize", str(mask), "--out", str(out), *flags])


def test_regions_become_rows(mask: Path, tmp_path: Path) -> None:
    """Each region is a row with its class, the class's name and measures on the ground."""
    assert run(mask, tmp_path / "new" / "p.gpkg") == 0
    table = gpd.read_file(tmp_path / "new" / "p.gpkg", layer="polygons")
    expected = ["id", "class_id", "class_name", "score", "area_m2", "perimeter_m", "geometry"]
    assert list(table) == expected
    found = sorted(zip(table["class_id"], table["class_name"], table["area_m2"], strict=True))
    assert [row[:2] for row in found] == [(1, "water"), (2, "roof"), (2, "roof")]
    assert [row[2] for row in found] == pytest.approx([10, 0.25, 6], rel=2e-3)
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"p.gpkg", "p.qml"}
    assert "water" in (tmp_path / "new" / "p.qml").read_text()


def test_small_regions_and_nodata_are_left_out(mask: Path, tmp_path: Path) -> None:
    """min_area drops the stray pixel; a nodata of one's own replaces that of the file and 0."""
    large = polygonize(mask, out=tmp_path / "a.fgb", min_area=1).regions
    assert sorted(large["class_id"]) == [1, 2]
    no_water = polygonize(mask, out=tmp_path / "b.geojson", nodata=1).regions
    assert set(no_water["class_id"]) == {0, 2}


def test_polygons_agree_with_the_raster(mask: Path, tmp_path: Path) -> None:
    """Painted back, the polygons are the raster that they came from."""
    table = polygonize(mask, out=tmp_path / "p.gpkg").regions
    with rasterio.open(mask) as dataset:
        pairs = zip(table.geometry, table["class_id"], strict=True)
        painted = rasterio.features.rasterize(
            pairs, dataset.shape, transform=dataset.transform, dtype="uint8"
        )
        assert (painted == dataset.read(1)).all()


def test_a_raster_of_nothing_makes_an_empty_file(write_scene: Any, tmp_path: Path) -> None:
    """No region is no error, and a mask without a CRS has no areas."""
    values = np.zeros((1, 9, 9), np.int32)
    empty = write_scene(values, "empty.tif")
    assert len(polygonize(empty, out=tmp_path / "e.gpkg", simplify=1).regions) == 0
    assert len(gpd.read_file(tmp_path / "e.gpkg", layer="polygons")) == 0
    values[0, 0, 0] = 4
    bare = write_scene(values, "bare.tif", crs=None, transform=Affine.scale(2))
    assert polygonize(bare, out=tmp_path / "f.gpkg").regions["area_m2"].isna().all()


def test_bad_input_is_one_line_and_nothing_is_written(
    mask: Path, tmp_path: Path, write_scene: Any, capsys: pytest.CaptureFixture
) -> None:
    """Missing, foreign and unfit inputs end with exit 2."""
    (tmp_path / "text.tif").write_text("hello")
    heights = write_scene(np.zeros((1, 5, 5), np.float32), "heights.tif")
    waves = write_scene(np.zeros((1, 5, 5), np.complex64), "waves.tif")
    bare = write_scene(np.ones((1, 5, 5), np.uint8), "bare.tif", crs=None)
    out = tmp_path / "out" / "p.gpkg"
    for words, message in (
        ([tmp_path / "gone.tif", out], "does not exist"),
        ([tmp_path / "text.tif", out], "not a raster"),
        ([heights, out], "labels are integers"),
        ([waves, out], "complex numbers"),
        ([mask, out, "--band", "2"], "no band 2"),
        ([mask, out, "--band", "9"], "no band 9"),
        ([mask, out, "--band", "0"], "no band 0"),
        ([mask, out, "--block", "1000"], "--block is 1000: give a multiple of 512"),
        ([mask, out, "--block", "0"], "--block is 0"),
        ([mask, out, "--block", "many"], "many"),
        ([mask, out, "--part", "3/2"], "--part is '3/2'"),
        ([mask, out, "--part", "1/2", "--dry-run"], "give one of them"),
        ([mask, out, "--resume", "--overwrite"], "give one of them"),
        ([mask, out, "--workers", "0"], "--workers is 0"),
        ([mask, out, "--workers", "-1"], "--workers is -1"),
        ([mask, mask / "in_a_file" / "p.gpkg"], "no folder that you may write to"),
        ([mask, tmp_path / ("p" * 300 + ".gpkg")], "cannot be written"),
        ([mask, Path("/proc/nothing/p.gpkg")], "cannot be written"),
        ([mask, mask], "is the mask itself"),
        ([mask, out, "--connectivity", "5"], "give 4 or 8"),
        ([mask, out, "--simplify", "-1"], "--simplify is -1"),
        ([mask, out.with_suffix(".shp")], "known are .gpkg"),
        ([mask, tmp_path], "is a folder"),
        ([bare, out, "--min-area", "1"], "no CRS"),
        ([bare, out.with_suffix(".geojson")], "no CRS"),
    ):
        assert run(words[0], words[1], *words[2:]) == 2
        printed, err = capsys.readouterr()
        assert printed == ""
        (line,) = err.splitlines()
        assert message in line
        assert not out.parent.exists()


def test_an_earlier_file_is_safe(mask: Path, tmp_path: Path, capsys: Any) -> None:
    """A file is replaced only with overwrite."""
    assert run(mask, tmp_path / "p.gpkg") == 0
    assert run(mask, tmp_path / "p.gpkg") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(mask, tmp_path / "p.gpkg", "--overwrite", "--min-area", "1") == 0
    assert len(gpd.read_file(tmp_path / "p.gpkg", layer="polygons")) == 2


@pytest.fixture
def large(write_scene: Any) -> Path:
    """Random classes of 1100 x 1500 pixels with regions of all sizes, over nine blocks."""
    rng = np.random.default_rng(5)
    coarse = np.kron(rng.integers(0, 4, (22, 30)), np.ones((50, 50))).astype(np.uint16)
    coarse[rng.random(coarse.shape) > 0.999] = 3
    coarse[400:1000, 300:1200:2] *= 0
    return write_scene(coarse[None], "large.tif", nodata=255)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_blocks_change_nothing(large: Path, tmp_path: Path, connectivity: int) -> None:
    """Regions over many blocks are the rows that one block makes, and GDAL's own."""
    tables = [
        polygonize(
            large, out=tmp_path / f"{side}.gpkg", block=side, connectivity=connectivity
        ).regions
        for side in (512, 1024, 2048)
    ]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert list(tables[0]["id"]) == list(range(1, len(tables[0]) + 1))
    with rasterio.open(large) as dataset:
        values = dataset.read(1)
        pairs = list(
            rasterio.features.shapes(values, values > 0, connectivity, transform=dataset.transform)
        )
    assert len(pairs) == len(tables[0])
    exact = {shapely.normalize(shapely.geometry.shape(one)).area for one, _ in pairs}
    assert set(tables[0].area.round(6)) == {round(area, 6) for area in exact}


def test_simplified_neighbours_meet_across_blocks(large: Path, tmp_path: Path) -> None:
    """Simplified regions of many blocks neither overlap nor part, and lose corners."""
    whole = np.full((1, 1100, 1500), 1, np.uint8)
    rows, columns = np.mgrid[:1100, :1500]
    whole[0][(rows - 500) ** 2 + (columns - 700) ** 2 < 400**2] = 2
    with rasterio.open(large) as dataset:
        profile = dataset.profile | {"dtype": "uint8"}
    with rasterio.open(tmp_path / "disc.tif", "w", **profile) as target:
        target.write(whole)
    table = polygonize(
        tmp_path / "disc.tif", out=tmp_path / "d.gpkg", block=512, simplify=2
    ).regions
    assert len(table) == 2
    assert shapely.coverage_is_valid(table.geometry.explode().to_numpy())
    assert table.area.sum() == pytest.approx(1100 * 1500 / 4)
    assert table.area[1] == pytest.approx(np.pi * 200**2, rel=1e-3)
    assert shapely.get_num_coordinates(table.geometry.to_numpy()).sum() < 250


def test_parts_and_finish_make_the_file(large: Path, tmp_path: Path, capsys: Any) -> None:
    """Jobs of an array do their blocks, finish refuses before the last and writes after it."""
    polygonize(large, out=tmp_path / "whole.gpkg", block=512)
    out = tmp_path / "p.gpkg"
    assert run(large, out, "--block", "512", "--part", "2/2") == 0
    blocks = tmp_path / "p.gpkg.blocks"
    assert main(["finish", str(blocks)]) == 3
    assert "5 of 9 blocks are missing" in capsys.readouterr().err
    assert not out.exists()
    assert main(["finish", str(tmp_path)]) == 2
    assert run(large, out, "--block", "512", "--part", "1/2") == 0
    assert main(["finish", str(blocks)]) == 0
    assert not blocks.exists()
    whole = gpd.read_file(tmp_path / "whole.gpkg", layer="polygons")
    assert gpd.read_file(out, layer="polygons").equals(whole)


def test_only_the_same_run_is_gone_on_with(large: Path, tmp_path: Path, capsys: Any) -> None:
    """Unfinished work needs --resume, and refuses what would change blocks by its name."""
    out = tmp_path / "p.gpkg"
    assert run(large, out, "--block", "512", "--part", "1/2") == 0
    assert run(large, out, "--block", "512") == 2
    assert "--resume" in capsys.readouterr().err
    for flags, changed in (
        (["--simplify", "2"], "parameters.simplify was 0.0 and is 2.0"),
        (["--block", "1024"], "tiling.block was 512 and is 1024"),
    ):
        assert run(large, out, "--block", "512", "--resume", *flags) == 2
        assert changed in capsys.readouterr().err
    with rasterio.open(large, "r+") as dataset:
        dataset.write(np.ones((1, 1), np.uint16), 1, window=((0, 1), (0, 1)))
    assert run(large, out, "--block", "512", "--resume") == 2
    assert "scene.sha256" in capsys.readouterr().err
    assert run(large, out, "--block", "1024", "--overwrite") == 0


def test_a_killed_run_goes_on(large: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Killed after its first blocks and resumed, a run writes the bytes of one that was not."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    whole, out = tmp_path / "whole" / "p.gpkg", tmp_path / "p.gpkg"
    assert run(large, whole, "--block", "512") == 0
    words = ["polygonize", str(large), "--out", str(out), "--block", "512"]
    process = subprocess.Popen([sys.executable, "-m", "samdomain", *words])
    while not list(tmp_path.glob("p.gpkg.blocks/*.block")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not out.exists()
    assert run(large, out, "--block", "512", "--resume") == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.blocks*"))
    assert run(large, out, "--block", "512", "--resume") == 0  # nothing is left to do


def test_a_dry_run_does_nothing(large: Path, tmp_path: Path, capsys: Any) -> None:
    """It tells blocks, bytes, memory and seconds, and leaves no file."""
    before = set(tmp_path.iterdir())
    assert run(large, tmp_path / "p.gpkg", "--block", "512", "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["blocks"] == 9
    assert min(told["bytes of blocks"], told["bytes of memory"], told["seconds"] + 1) > 0
    assert set(tmp_path.iterdir()) == before
    assert "chips" not in told  # no network looks at the mask
    assert run(large, tmp_path / "p.gpkg", "--block", "512", "--quiet") == 0
    written = sum((tmp_path / name).stat().st_size for name in ("p.gpkg", "p.qml"))
    assert written / 3 < told["bytes of results"] < written * 3  # blocks differ


def test_stages_are_told(mask: Path, tmp_path: Path, capsys: Any) -> None:
    """The result tells wall seconds of each stage, and those of the steps of the blocks."""
    assert run(mask, tmp_path / "p.gpkg", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["seconds"]) == ["plan", "run", "join", "write"]
    assert set(told["steps"]) == {"blocks", "read", "compute", "write", "run"}
    assert run(mask, tmp_path / "q.gpkg", "--part", "1/1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"]["blocks"] == 1


def test_what_is_in_the_way_of_the_blocks_is_safe(mask: Path, tmp_path: Path, capsys: Any) -> None:
    """A folder of the blocks' name that holds other things is neither used nor removed."""
    folder = tmp_path / "p.gpkg.blocks"
    folder.mkdir()
    assert run(mask, tmp_path / "p.gpkg", "--resume") == 0  # a killed plan leaves an empty one
    (tmp_path / "p.gpkg").unlink()
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for flag in ("--resume", "--overwrite"):
        capsys.readouterr()
        assert run(mask, tmp_path / "p.gpkg", flag) == 2
        assert "holds other things" in capsys.readouterr().err
    assert (folder / "notes.txt").read_text() == "mine"


def test_damaged_work_can_be_begun_anew(mask: Path, tmp_path: Path, capsys: Any) -> None:
    """A manifest that cannot be read stops --resume in one line, and not --overwrite."""
    out = tmp_path / "p.gpkg"
    assert run(mask, out, "--part", "1/2") == 0
    (tmp_path / "p.gpkg.blocks" / "manifest.json").write_text("{")
    capsys.readouterr()
    assert run(mask, out, "--resume") == 2
    assert "begin anew with --overwrite" in capsys.readouterr().err
    assert run(mask, out, "--overwrite") == 0
    assert out.exists()


def test_two_processes_in_one_folder_do_no_harm(
    large: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Two that begin at once end in one whole file; who is too late is told in one line."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert run(large, tmp_path / "whole" / "p.gpkg", "--block", "512") == 0
    out = tmp_path / "p.gpkg"
    words = ["polygonize", str(large), "--out", str(out), "--block", "512", "--resume", "--quiet"]
    both = [
        subprocess.Popen([sys.executable, "-m", "samdomain", *words], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ends = [(one.communicate()[1].decode().splitlines(), one.returncode) for one in both]
    assert 0 in [code for _, code in ends]
    for lines, code in ends:
        assert code in (0, 2, 3)
        assert len(lines) == (0 if code == 0 else 1)
    assert out.read_bytes() == (tmp_path / "whole" / "p.gpkg").read_bytes()
    assert not list(tmp_path.glob("*.blocks*"))


SMALL_DISK = """
set -e
mount -t tmpfs -o "size=$5" none "$1"
cp "$2" "$1/mask.tif"
code=0
"$3" -m samdomain polygonize "$1/mask.tif" --out "$1/p.gpkg" --block 512 --quiet || code=$?
ls -A "$1" "$1/p.gpkg.blocks"
mount -o remount,size=64m "$1"
"$3" -m samdomain polygonize "$1/mask.tif" --out "$1/p.gpkg" --block 512 --quiet --resume
cp "$1/p.gpkg" "$4"
exit $code
"""


def run_quietly(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("size", ["3300k", "3800k"], ids=["in run", "in finish"])
def test_a_full_disk_loses_nothing(
    large: Path, tmp_path: Path, monkeypatch: Any, size: str
) -> None:
    """On a disk that is full the run stops with exit 3; with room it ends in the same bytes."""
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if shutil.which("unshare") is None or run_quietly(probe).returncode:
        pytest.skip("no file system can be mounted here")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    (tmp_path / "disk").mkdir()
    files = [tmp_path / "disk", large, sys.executable, tmp_path / "p.gpkg", size]
    words = ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh", *map(str, files)]
    done = run_quietly(words)
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert "is full" in line
    assert "--resume" in line
    kept = done.stdout.splitlines()
    assert "manifest.json" in kept
    assert "p.gpkg" not in kept
    assert (sum(name.endswith(".block") for name in kept) == 9) == (size == "3800k")
    assert not [name for name in kept if name.endswith(".part")]
    assert run(large, tmp_path / "whole" / "p.gpkg", "--block", "512") == 0
    assert (tmp_path / "p.gpkg").read_bytes() == (tmp_path / "whole" / "p.gpkg").read_bytes()


@pytest.mark.parametrize("extension", ["gpkg", "parquet", "fgb", "geojson"])
def test_two_runs_are_equal_bytes(
    mask: Path, tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one date, each format holds the same bytes twice, and geopandas reads it."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name in ("a", "b"):
        polygonize(mask, out=tmp_path / f"{name}" / f"p.{extension}", block=512)
    one, other = (tmp_path / name / f"p.{extension}" for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    read = gpd.read_parquet if extension == "parquet" else gpd.read_file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the style is a second layer
        table = read(one)
    assert sorted(table["class_id"]) == [1, 2, 2]
    assert table.crs is not None
