"""Two dates in; maps, polygons, areas and a picture of what changed out."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject
from rio_cogeo.cogeo import cog_validate
from scipy.ndimage import gaussian_filter

import samdomain_geo
from samdomain.adapter_file import AdapterCard, save_adapter
from samdomain.cli import main
from samdomain.recipes import SAMed, SamSP
from samdomain.sam import Sam

FILES = ("mask.tif", "probability.tif", "polygons.gpkg", "areas.csv")
NEW, GONE = (slice(20, 60), slice(30, 80)), (slice(100, 150), slice(150, 200))


def ground(shape: tuple[int, int] = (192, 256)) -> np.ndarray:
    """Grey ground with structure, the same at both dates."""
    rough = np.random.default_rng(3).normal(0, 60, shape)
    smooth = gaussian_filter(rough, 1.5) * 3 + 100
    return np.repeat(smooth[None], 3, axis=0)


def dates() -> tuple[np.ndarray, np.ndarray]:
    """The ground with a bright roof that goes and one that comes."""
    before, after = ground(), ground()
    before[:, *GONE], after[:, *NEW] = 230, 230
    return tuple(np.clip(one, 1, 255).astype(np.uint8) for one in (before, after))


@pytest.fixture
def pair(write_scene: Callable[..., Path]) -> tuple[Path, Path]:
    """Both dates on one grid of 0.5 m."""
    before, after = dates()
    return write_scene(before, "before.tif", nodata=0), write_scene(after, "after.tif", nodata=0)


@pytest.fixture
def adapter(trained: Callable[..., Sam], tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter of the tiny SAM with noise for values."""

    def write(recipe: Any, output: str = "semantic", **card: Any) -> Path:
        sam = trained()
        recipe.adapt(sam)
        told = AdapterCard(recipe=recipe.name, output=output, options=recipe.to_json(), **card)
        save_adapter(sam, tmp_path / "adapter", told)
        return tmp_path / "adapter"

    return write


def change(pair: tuple[Path, Path], out: Path, *flags: str) -> int:
    return main(["change", *map(str, pair), "--out", str(out), *flags])


def band(path: Path, number: int = 1) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(number)


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_first_sight_makes_all_files(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Maps lie on the earlier grid, and the record says that it is a rough look."""
    assert change(pair, tmp_path / "out", "--weights", "tiny") == 0
    with rasterio.open(pair[0]) as before, rasterio.open(tmp_path / "out/mask.tif") as mask:
        assert (mask.crs, mask.transform, mask.shape) == (
            before.crs,
            before.transform,
            before.shape,
        )
        assert mask.tags()["SAMDOMAIN_CLASSES"] == ";changed"
    assert set(np.unique(band(tmp_path / "out/mask.tif"))) <= {0, 1}
    assert cog_validate(tmp_path / "out/probability.tif")[0]
    told = record(tmp_path / "out")
    assert told["method"] == "latent matching, zero-shot"
    assert "rough first look" in " ".join(told["notes"])
    assert told["latent"].keys() == {"threshold", "softness", "looks"}
    with rasterio.open(tmp_path / "out/probability.tif") as probability:
        found = probability.read(1) * probability.scales[0]
    # A value of one half is the threshold.
    assert ((found >= 0.5) == (band(tmp_path / "out/mask.tif") == 1)).all()
    assert told["inputs"]["before"]["sha256"] != told["inputs"]["after"]["sha256"]
    assert (tmp_path / "out/preview.png").stat().st_size > 10_000


def test_blocks_and_parts_give_the_same_bytes(
    pair: tuple[Path, Path], sam_cd: Path, tmp_path: Path
) -> None:
    """Whoever did which share of the work, on any size of block, the maps are the same."""
    flags = ["--adapter", str(sam_cd), "--threads", "1"]
    assert change(pair, tmp_path / "a", *flags) == 0
    assert change(pair, tmp_path / "b", *flags, "--block", "512") == 0
    for part in ("1/2", "2/2"):
        assert change(pair, tmp_path / "c", *flags, "--part", part) == 0
    assert main(["finish", str(tmp_path / "c")]) == 0
    for name in FILES[:2]:
        assert len({(tmp_path / one / name).read_bytes() for one in "abc"}) == 1


@pytest.mark.enable_socket  # Dask talks to its workers over the loopback device
def test_two_workers_give_the_same_bytes(
    pair: tuple[Path, Path], sam_cd: Path, tmp_path: Path
) -> None:
    """Processes of Dask open the pair and load the network by themselves."""
    pytest.importorskip("distributed")
    flags = ["--adapter", str(sam_cd), "--threads", "1"]
    assert change(pair, tmp_path / "a", *flags) == 0
    assert change(pair, tmp_path / "b", *flags, "--workers", "2") == 0
    for name in FILES[:2]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_first_sight_gives_the_same_bytes_in_many_blocks(
    write_scene: Callable[..., Path], tmp_path: Path
) -> None:
    """The threshold is the scene's, so that four blocks are one; a part keeps what was measured."""
    before, after = ground((600, 620)), ground((600, 620))
    after[:, 480:560, 470:560] = 230
    files = [
        write_scene(np.clip(one, 0, 255).astype(np.uint8), name)
        for one, name in ((before, "before.tif"), (after, "after.tif"))
    ]
    flags = ["--weights", "tiny", "--threads", "1"]
    assert change((files[0], files[1]), tmp_path / "a", *flags) == 0
    for part in ("2/2", "1/2"):
        words = [*flags, "--block", "512", "--part", part]
        assert change((files[0], files[1]), tmp_path / "b", *words) == 0
    assert main(["finish", str(tmp_path / "b")]) == 0
    for name in FILES[:2]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_classes_tell_what_became_of_what(
    pair: tuple[Path, Path], adapter: Any, tmp_path: Path
) -> None:
    """Mask, polygons and areas say from and to, and agree with the classes of both dates."""
    names = ("ground", "roof", "water")
    folder = adapter(SAMed(names), chip_size=64)
    assert change(pair, tmp_path / "out", "--adapter", str(folder)) == 0
    before, after, mask = (
        band(tmp_path / "out" / name)
        for name in ("classes_before.tif", "classes_after.tif", "mask.tif")
    )
    expected = np.where(before == after, 0, 1 + before * 3 + after)
    assert (mask == expected).all()
    table = gpd.read_file(tmp_path / "out/polygons.gpkg", layer="polygons")
    assert (table["class_name"] == table["from_class"] + " to " + table["to_class"]).all()
    with (tmp_path / "out/areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["pixels"]) for row in rows) == mask.size
    for row in rows:
        one, other = names.index(row["from_class"]), names.index(row["to_class"])
        assert int(row["pixels"]) == ((before == one) & (after == other)).sum()
    assert record(tmp_path / "out")["classes"] == list(names)


def test_one_kind_of_thing_appears_and_disappears(
    pair: tuple[Path, Path], adapter: Any, tmp_path: Path
) -> None:
    """What is not the adapter's only class is background."""
    folder = adapter(SamSP(), classes=("roof",))
    assert change(pair, tmp_path / "out", "--adapter", str(folder)) == 0
    assert set(np.unique(band(tmp_path / "out/mask.tif"))) <= {0, 2, 3}
    assert record(tmp_path / "out")["classes"] == ["background", "roof"]


def rewritten(path: Path, crs: str, factor: float) -> Path:
    """Write a raster in another CRS with larger pixels; nodata 0 around it."""
    with rasterio.open(path) as source:
        transform, columns, rows = calculate_default_transform(
            source.crs, crs, source.width, source.height, *source.bounds
        )
        transform = transform @ Affine.scale(factor)
        shape = (3, round(rows / factor), round(columns / factor))
        pixels = np.zeros(shape, np.uint8)
        reproject(
            source.read(),
            pixels,
            src_transform=source.transform,
            src_crs=source.crs,
            dst_transform=transform,
            dst_crs=crs,
            src_nodata=0,
            dst_nodata=0,
            resampling=Resampling.bilinear,
        )
    target = path.with_name("other.tif")
    profile = {"crs": crs, "transform": transform, "nodata": 0, "dtype": "uint8", "count": 3}
    with rasterio.open(target, "w", width=shape[2], height=shape[1], **profile) as file:
        file.write(pixels)
    return target


def test_another_grid_gives_nearly_the_same_map(
    pair: tuple[Path, Path], change_adapter: Path, tmp_path: Path
) -> None:
    """The later date in longitudes and latitudes with pixels 1.5 times as large changes little."""
    flags = ["--adapter", str(change_adapter)]
    assert change(pair, tmp_path / "a", *flags) == 0
    other = rewritten(pair[1], "EPSG:4326", 1.5)
    assert change((pair[0], other), tmp_path / "b", *flags) == 0
    plain, warped = (band(tmp_path / name / "mask.tif") for name in "ab")
    assert plain.shape == warped.shape
    inside = warped != 255
    assert inside.mean() > 0.95
    both = ((plain == 1) & (warped == 1) & inside).sum()
    either = ((plain == 1) & inside).sum() + ((warped == 1) & inside).sum()
    assert 2 * both / either > 0.85


def test_changed_ground_is_measured(
    pair: tuple[Path, Path], change_adapter: Path, tmp_path: Path
) -> None:
    """Polygons, areas and record agree on how many square metres changed."""
    assert change(pair, tmp_path / "out", "--adapter", str(change_adapter)) == 0
    told = record(tmp_path / "out")
    mask = band(tmp_path / "out/mask.tif")
    assert told["changed"]["pixels"] == (mask == 1).sum()
    # UTM is true to scale within 4 parts in 10,000 of a length, and pixels are 0.25 square metres.
    assert told["changed"]["area_m2"] == pytest.approx((mask == 1).sum() / 4, rel=2e-3)
    table = gpd.read_file(tmp_path / "out/polygons.gpkg", layer="polygons")
    assert table["area_m2"].sum() == pytest.approx(told["changed"]["area_m2"], rel=1e-3)
    assert told["changed"]["share_of_overlap"] == pytest.approx((mask == 1).mean(), abs=1e-5)


def test_what_one_date_lacks_is_nodata(
    pair: tuple[Path, Path], change_adapter: Path, write_scene: Any, tmp_path: Path
) -> None:
    """A later date of another extent, with a hole: the rest of the earlier one is nodata."""
    after = dates()[1][:, :, 60:].copy()
    after[:, 50:70, 100:130] = 0
    place = Affine.translation(500_030, 30_000) @ Affine.scale(0.5, -0.5)
    part = write_scene(after, "part.tif", nodata=0, transform=place)
    flags = ["--adapter", str(change_adapter)]
    assert change((pair[0], part), tmp_path / "out", *flags) == 0
    expected = np.ones((192, 256), bool)
    expected[:, 60:] = after[0] == 0
    assert ((band(tmp_path / "out/mask.tif") == 255) == expected).all()
    assert ((band(tmp_path / "out/probability.tif") == 255) == expected).all()


def test_a_shift_is_told_and_taken_back(
    pair: tuple[Path, Path], change_adapter: Path, write_scene: Any, tmp_path: Path, capsys: Any
) -> None:
    """Two columns to the right: warned of; with --align the map is that of dates that fit."""
    after = np.roll(dates()[1], 2, axis=2)
    moved = write_scene(after, "moved.tif", nodata=0)
    flags = ["--adapter", str(change_adapter)]
    assert change((pair[0], moved), tmp_path / "a", *flags) == 0
    assert "--align moves the later one" in capsys.readouterr().err
    shift = record(tmp_path / "a")["shift"]
    assert (shift["columns"], shift["rows"]) == pytest.approx((2, 0), abs=0.15)
    assert change((pair[0], moved), tmp_path / "b", *flags, "--align") == 0
    told = record(tmp_path / "b")
    assert told["applied_shift"] == [shift["columns"], shift["rows"]]
    assert abs(told["residual_shift"]["columns"]) < 0.2
    assert told["changed"]["pixels"] < record(tmp_path / "a")["changed"]["pixels"]


def test_dry_runs_count_chips(
    pair: tuple[Path, Path], change_adapter: Path, tmp_path: Path, capsys: Any
) -> None:
    """Nothing is written."""
    flags = ["--adapter", str(change_adapter), "--dry-run", "--json"]
    assert change(pair, tmp_path / "out", *flags) == 0
    assert json.loads(capsys.readouterr().out)["chips"] > 4
    assert not (tmp_path / "out").exists()


def test_python_has_the_same(pair: tuple[Path, Path], change_adapter: Path, tmp_path: Path) -> None:
    """The command is a function that returns areas and the record."""
    found = samdomain_geo.change(*pair, out=tmp_path / "out", adapter=str(change_adapter))
    assert found.record["changed"]["pixels"] == sum(row.pixels for row in found.areas.changed)
    again = samdomain_geo.change(
        *pair, out=tmp_path / "out", adapter=str(change_adapter), resume=True
    )
    assert again.summary()["to do"].startswith("nothing")
