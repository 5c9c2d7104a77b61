"""A scene and labelled polygons in; an adapter, maps of classes and polygons out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from rio_cogeo.cogeo import cog_validate

from samdomain.adapter_file import AdapterCard, read_adapter, save_adapter
from samdomain.cli import main
from samdomain.lora import LoRA
from samdomain.recipes import SAMed, SamSP
from samdomain.sam import Sam
from samdomain_geo import polygonize
from samdomain_geo.scenes.class_names import class_names
from samdomain_geo.scenes.raster import open_scene

NAMES = ("background", "field", "water")


@pytest.fixture
def land(write_scene: Callable[..., Path]) -> Path:
    """192 x 256 pixels: green fields and a blue lake on grey ground, nodata in a corner."""
    chance = np.random.default_rng(1)
    pixels = chance.integers(90, 120, (3, 192, 256), dtype=np.uint8)
    for (top, left), band in (((20, 20), 1), ((120, 30), 1), ((30, 150), 1), ((110, 150), 2)):
        pixels[:, top : top + 50, left : left + 70] = 40
        pixels[band, top : top + 50, left : left + 70] = 210
    pixels[:, 160:, 230:] = 0
    return write_scene(pixels, nodata=0)


def truth() -> np.ndarray:
    """The classes of its pixels."""
    classes = np.zeros((192, 256), np.uint8)
    for (top, left), number in (((20, 20), 1), ((120, 30), 1), ((30, 150), 1), ((110, 150), 2)):
        classes[top : top + 50, left : left + 70] = number
    return classes


@pytest.fixture
def labels(tmp_path: Path, pixel_box: Any) -> Path:
    """The polygons of the same, in longitudes and latitudes."""
    boxes = [(20, 20), (120, 30), (30, 150), (110, 150)]
    frame = gpd.GeoDataFrame(
        {"kind": ["field", "field", "field", "water"]},
        geometry=[pixel_box(left, top, left + 70, top + 50) for top, left in boxes],
        crs="EPSG:32636",
    )
    frame.to_crs(4326).to_file(tmp_path / "labels.geojson")
    return tmp_path / "labels.geojson"


@pytest.fixture
def adapter(trained: Callable[..., Sam], tmp_path: Path) -> Callable[..., Path]:
    """Write an adapter of the tiny SAM with noise for values."""

    def write(recipe: SAMed | SamSP, **card: Any) -> Path:
        sam = trained()
        recipe.adapt(sam)
        told = AdapterCard(recipe=recipe.name, output="semantic", options=recipe.to_json(), **card)
        save_adapter(sam, tmp_path / "adapter", told)
        return tmp_path / "adapter"

    return write


def segment(scene: Path, adapter: Path, out: Path, *flags: str) -> int:
    return main(["segment", str(scene), "--adapter", str(adapter), "--out", str(out), *flags])


@pytest.fixture
def found(land: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `init`, `fit` and `segment` made of the scene; the adapter is in runs/land."""
    monkeypatch.chdir(tmp_path)
    line = ["init", "--scene", str(land), "--labels", str(labels), "--class-column", "kind"]
    assert main([*line, "--weights", "tiny", "--size", "64", "--out", "land.yaml"]) == 0
    config = yaml.safe_load(Path("land.yaml").read_text())
    assert config["model"]["recipe"]["options"]["classes"] == list(NAMES)
    config["trainer"] |= {"max_epochs": 60, "enable_progress_bar": False, "accelerator": "cpu"}
    config["stopping"]["patience"], config["data"]["views"] = None, 1
    # On random weights the light decoder learns in seconds what the other takes minutes for.
    config["model"]["recipe"]["preset"] = "pyramid"
    Path("land.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "land.yaml"]) == 0
    assert segment(land, Path("runs/land/adapter"), Path("out")) == 0
    return tmp_path / "out"


def test_from_labels_to_maps(found: Path, land: Path) -> None:
    """Most pixels have their class, nodata stays nodata, probabilities add up."""
    with rasterio.open(land) as scene, rasterio.open(found / "mask.tif") as mask:
        assert (mask.transform, mask.crs, mask.nodata) == (scene.transform, scene.crs, 255)
        values, valid = mask.read(1), scene.read_masks(1) > 0
        assert mask.colormap(1)[1] != mask.colormap(1)[2]
    assert ((values == 255) == ~valid).all()
    assert (values == truth())[valid].mean() > 0.8
    with rasterio.open(found / "probability.tif") as probability:
        shares = probability.read() * np.array(probability.scales)[:, None, None]
        assert probability.descriptions == NAMES
    assert shares[:, valid].sum(axis=0) == pytest.approx(1, abs=0.01)
    assert (shares.argmax(axis=0) == values)[valid].mean() > 0.99
    assert cog_validate(found / "mask.tif")[0]
    assert cog_validate(found / "probability.tif")[0]


def test_from_labels_to_polygons(found: Path) -> None:
    """Polygons have their class and score; card and record say what was trained and run."""
    card = read_adapter(found.parent / "runs/land/adapter").card
    assert (card.classes, card.chip_size) == (NAMES, 64)
    assert card.pixel_size == pytest.approx(0.5, rel=1e-2)
    table = gpd.read_file(found / "polygons.gpkg", layer="polygons")
    assert set(table["class_name"]) <= {"field", "water"}
    assert table["score"].between(0.3, 1).all()
    record = json.loads((found / "run.json").read_text())
    assert record["classes"] == list(NAMES)
    assert record["shares"].keys() == set(NAMES)
    assert (found / "preview.png").stat().st_size > 10_000


def test_two_workers_and_other_blocks_give_the_same_classes(
    land: Path, adapter: Any, tmp_path: Path
) -> None:
    """Bytes do not depend on who did which block, nor classes on the blocks' size."""
    folder = adapter(SAMed(NAMES), chip_size=64)
    assert segment(land, folder, tmp_path / "a") == 0
    assert segment(land, folder, tmp_path / "b", "--block", "512") == 0
    for part in ("1/2", "2/2"):
        assert segment(land, folder, tmp_path / "c", "--part", part) == 0
    assert main(["finish", str(tmp_path / "c")]) == 0
    masks = [(tmp_path / name / "mask.tif").read_bytes() for name in "abc"]
    assert masks[0] == masks[1] == masks[2]


def test_polygons_are_those_of_the_mask(land: Path, adapter: Any, tmp_path: Path) -> None:
    """`polygonize` of the mask gives the same regions, with the names that the mask carries."""
    assert segment(land, adapter(SAMed(NAMES), chip_size=64), tmp_path / "out") == 0
    mask = tmp_path / "out/mask.tif"
    with open_scene(mask, (1,)) as opened:
        assert class_names(opened) == dict(enumerate(NAMES))
    again = polygonize(mask, out=tmp_path / "again.gpkg").regions
    table = gpd.read_file(tmp_path / "out/polygons.gpkg", layer="polygons").sort_values("id")
    assert table["class_id"].tolist() == again["class_id"].tolist()
    assert shapely.equals_exact(table.geometry.array, again.geometry.array).all()


def test_one_kind_of_thing_is_a_mask_of_yes_and_no(
    land: Path, adapter: Any, tmp_path: Path
) -> None:
    """An adapter of sam_sp gives 0 and 1, and polygons of the name in its card."""
    assert segment(land, adapter(SamSP(), classes=("polyp",)), tmp_path / "out") == 0
    with rasterio.open(tmp_path / "out/mask.tif") as mask:
        assert set(np.unique(mask.read())) <= {0, 1, 255}
    with rasterio.open(tmp_path / "out/probability.tif") as probability:
        assert probability.descriptions == ("polyp",)
    table = gpd.read_file(tmp_path / "out/polygons.gpkg", layer="polygons")
    assert set(table["class_name"]) <= {"polyp"}
    assert set(table["class_id"]) <= {1}


def test_labels_that_overlap_have_a_band_each(land: Path, adapter: Any, tmp_path: Path) -> None:
    """Ids go on from one band to the next."""
    recipe = SAMed(("wet", "green"), multilabel=True)
    assert segment(land, adapter(recipe, chip_size=64), tmp_path / "out") == 0
    with rasterio.open(tmp_path / "out/mask.tif") as mask:
        assert mask.descriptions == ("wet", "green")
    table = gpd.read_file(tmp_path / "out/polygons.gpkg", layer="polygons")
    assert table["id"].is_unique
    pairs = set(zip(table["class_id"], table["class_name"], strict=True))
    assert pairs <= {(1, "wet"), (2, "green")}


def test_more_bands_than_three(
    write_scene: Callable[..., Path], adapter: Any, tmp_path: Path
) -> None:
    """An adapter of five bands takes the scene's first five; other numbers are refused."""
    pixels = np.random.default_rng(0).integers(0, 3000, (6, 80, 96), dtype=np.uint16)
    scene = write_scene(pixels)
    folder = adapter(SAMed(NAMES, bands=5, rgb=(2, 1, 0)))
    assert segment(scene, folder, tmp_path / "out") == 0
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["parameters"]["bands"] == [1, 2, 3, 4, 5]
    assert segment(scene, folder, tmp_path / "other", "--bands", "1,2,3") == 2


def test_coarser_pixels_make_smaller_chips(
    land: Path, adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Things keep the size that they had in training; far off, a warning says what is missing."""
    folder = adapter(SAMed(NAMES), chip_size=256, pixel_size=0.125)
    assert segment(land, folder, tmp_path / "out") == 0
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["chips"]["size"] == pytest.approx(64, abs=1)
    assert "detail that it relied on may be missing" in capsys.readouterr().err


def test_dry_runs_count_chips(
    land: Path, adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Nothing is written."""
    folder = adapter(SAMed(NAMES), chip_size=64)
    assert segment(land, folder, tmp_path / "out", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["chips"] > 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "neither --prompts nor --adapter"),
        (["--adapter", "roofs"], "neither a folder nor shipped"),
        (["--adapter", "roofs", "--object-size", "4"], "--object-size is about prompts"),
        (["--adapter", "roofs", "--where", "id > 3"], "--where is about prompts"),
    ],
)
def test_what_is_missing_is_named(
    land: Path, tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], told: str
) -> None:
    """One line, and nothing is written."""
    assert main(["segment", str(land), "--out", str(tmp_path / "out"), *flags]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_prompts_needs_them(
    land: Path, trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The message names the flag."""
    save_adapter(trained(LoRA()), tmp_path / "prompted")
    assert segment(land, tmp_path / "prompted", tmp_path / "out") == 2
    assert "--prompts" in capsys.readouterr().err
