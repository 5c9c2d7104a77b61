import json
from importlib import import_module
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import yaml

from samdomain.cli import main
from samdomain.training.config_names import find_config

pytest.importorskip("lightning")
init_module = import_module("samdomain_geo.verbs.init")


@pytest.fixture
def inputs(write_scene: Any, pixel_box: Any, tmp_path: Path) -> list[str]:
    """A scene of 512 x 512 pixels with 16 squares of 24 pixels."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 512, 512), dtype=np.uint8)
    boxes = [(i, j, i + 24, j + 24) for i in range(20, 500, 128) for j in range(20, 500, 128)]
    frame = gpd.GeoDataFrame(geometry=[pixel_box(*box) for box in boxes], crs="EPSG:32636")
    frame.to_file(tmp_path / "squares.gpkg")
    return ["--scene", str(write_scene(pixels)), "--labels", str(tmp_path / "squares.gpkg")]


def test_a_config_says_what_was_found(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Chips follow from the objects' size, epochs from the number of chips."""
    out = tmp_path / "squares.yaml"
    assert main(["init", *inputs, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chips"]["train"] + told["chips"]["val"] == 4
    config = yaml.safe_load(out.read_text())
    arguments = config["data"]["source"]["init_args"]
    assert arguments["size"] == 256
    assert config["model"]["recipe"]["options"]["classes"] == ["background", "object"]
    assert config["trainer"]["max_epochs"] == 40
    assert "16 object" in out.read_text()
    assert find_config(str(out)) == out


def test_more_bands_are_mixed(inputs: list[str], tmp_path: Path) -> None:
    """The recipe gets their number."""
    out = tmp_path / "bands.yaml"
    assert main(["init", *inputs, "--bands", "1,2,3,4", "--out", str(out)]) == 0
    options = yaml.safe_load(out.read_text())["model"]["recipe"]["options"]
    assert (options["bands"], options["rgb"]) == (4, [0, 1, 2])


def test_fewer_bands_than_a_model_takes_are_refused(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A grey band may stand for all three."""
    out = tmp_path / "grey.yaml"
    assert main(["init", *inputs, "--bands", "2", "--out", str(out)]) == 2
    assert "as 2,2,2" in capsys.readouterr().err
    assert main(["init", *inputs, "--bands", "2,2,2", "--out", str(out)]) == 0
    assert "bands" not in yaml.safe_load(out.read_text())["model"]["recipe"]["options"]


def test_a_config_that_stands_there_is_kept(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Unless it shall be replaced."""
    out = tmp_path / "own.yaml"
    out.write_text("mine")
    assert main(["init", *inputs, "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["init", *inputs, "--out", str(out), "--overwrite"]) == 0


def test_labels_elsewhere_are_told(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture, pixel_box: Any
) -> None:
    """Nothing is written."""
    far = gpd.GeoDataFrame(geometry=[pixel_box(90000, 90000, 90010, 90010)], crs="EPSG:32636")
    far.to_file(tmp_path / "far.gpkg")
    line = ["init", *inputs[:2], "--labels", str(tmp_path / "far.gpkg")]
    assert main([*line, "--out", str(tmp_path / "far.yaml")]) == 2
    assert "do their CRS and place agree" in capsys.readouterr().err
    assert not (tmp_path / "far.yaml").exists()


def test_a_layer_and_a_condition_stand_in_the_config(inputs: list[str], tmp_path: Path) -> None:
    """The training reads the same rows."""
    labels = tmp_path / "squares.gpkg"
    gpd.read_file(labels).assign(kind=["a"] * 8 + ["b"] * 8).to_file(labels, layer="kinds")
    out = tmp_path / "new" / "kinds.yaml"
    chosen = ["--layer", "kinds", "--where", "kind = 'a'"]
    assert main(["init", *inputs, *chosen, "--out", str(out)]) == 0
    arguments = yaml.safe_load(out.read_text())["data"]["source"]["init_args"]
    assert (arguments["layer"], arguments["where"]) == ("kinds", "kind = 'a'")
    assert "8 object" in out.read_text()


def test_areas_without_validation_are_taken(
    inputs: list[str], tmp_path: Path, pixel_box: Any, capsys: pytest.CaptureFixture
) -> None:
    """It comes from those for training, and a line says so."""
    areas = gpd.GeoDataFrame(
        {"split": ["train", "test"]},
        geometry=[pixel_box(0, 0, 512, 256), pixel_box(0, 256, 512, 512)],
        crs="EPSG:32636",
    )
    areas.to_file(tmp_path / "areas.gpkg")
    line = ["init", *inputs, "--split", str(tmp_path / "areas.gpkg"), "--size", "64"]
    assert main([*line, "--out", str(tmp_path / "areas.yaml"), "--json"]) == 0
    told = capsys.readouterr()
    chips = json.loads(told.out)["chips"]
    assert chips["train"] + chips["val"] == chips["test"] == 32
    assert chips["val"] > 0
    assert "for validation: it is taken from those for training" in told.err


def test_chips_of_a_few_pixels_are_refused(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A model sees nothing in them."""
    assert main(["init", *inputs, "--size", "5", "--out", str(tmp_path / "few.yaml")]) == 2
    assert "--size is 5: give 32" in capsys.readouterr().err


def test_two_commands_lead_from_labels_to_polygons(
    inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init --fit` trains at once, and `segment` runs what it left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(init_module, "_EPOCHS", (1, 1))
    size = ["--weights", "tiny", "--input-size", "64"]
    assert main(["init", *inputs, *size, "--out", "squares.yaml", "--fit"]) == 0
    words = ["segment", inputs[1], "--adapter", "runs/squares/adapter", "--out", "found"]
    assert main(words) == 0
    assert {"mask.tif", "polygons.gpkg"} <= {path.name for path in Path("found").iterdir()}
