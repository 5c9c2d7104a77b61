from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from samdomain.errors import InputError
from samdomain.recipes import Legend
from samdomain.training.check import check
from samdomain.training.dataset import read_item
from samdomain_geo.data import SceneSource
from samdomain_geo.scenes.raster import open_scene

pytest.importorskip("lightning")
from samdomain.training.data import Samples


@pytest.fixture
def source(land: Path, write_labels: Callable[..., Path]) -> SceneSource:
    """Chips of 32 pixels in blocks of one."""
    labels = write_labels()
    return SceneSource((land.name,), labels.name, "kind", size=32, block=1, val=0.25)


def names(source: SceneSource, folder: Path) -> dict[str, set[str]]:
    splits = ("train", "val", "test")
    return {one: {s.name for s in source.find(folder, one).samples} for one in splits}


def test_chips_are_shared_out(source: SceneSource, tmp_path: Path) -> None:
    """Each has one split; the chip without data has none."""
    found = names(source, tmp_path)
    assert found["test"] == set()
    assert len(found["train"]) + len(found["val"]) == 4 * 6 - 1
    assert not found["train"] & found["val"]
    assert "scene.tif@96,0" not in found["train"] | found["val"]
    assert names(source, tmp_path) == found
    assert names(replace(source, seed=1), tmp_path) != found


def test_blocks_stay_together(source: SceneSource, tmp_path: Path) -> None:
    """Chips of a block of 2 x 2 have one split, also where the last ones reach back."""
    found = names(replace(source, block=2, size=28), tmp_path)
    for split in ("train", "val"):
        places = [tuple(map(int, name.partition("@")[2].split(","))) for name in found[split]]
        blocks = {(row // 56, column // 56) for row, column in places}
        other = {"train": "val", "val": "train"}[split]
        for name in found[other]:
            row, column = map(int, name.partition("@")[2].split(","))
            assert (row // 56, column // 56) not in blocks


def test_a_chip_is_what_the_scene_has(source: SceneSource, land: Path, tmp_path: Path) -> None:
    """Pixels as they are for 8 bits, nodata grey and unlabelled."""
    samples = {s.name: s for one in ("train", "val") for s in source.find(tmp_path, one).samples}
    item = read_item(samples["scene.tif@0,0"])
    with open_scene(land) as scene:
        pixels = scene.dataset.read()[:, :32, :32]
    assert torch.equal(item.image, torch.from_numpy(pixels).float())
    assert item.masks[10:, 10:].eq(1).float().mean() > 0.8
    assert item.masks[25, 31] == 2
    half = replace(source, size=48)
    cut = {s.name: s for one in ("train", "val") for s in half.find(tmp_path, one).samples}
    item = read_item(cut["scene.tif@80,0"])
    assert item.masks[16:, :32].eq(255).all()
    assert item.image[:, 16:, :32].eq(127.5).all()


def test_rare_classes_are_drawn_more_often(source: SceneSource, tmp_path: Path) -> None:
    """The chip with the only water weighs most."""
    every = replace(source, val=0.05, seed=3)
    samples = every.find(tmp_path, "train").samples
    heaviest = max(samples, key=lambda one: one.weight)
    assert (read_item(heaviest).masks == 2).any()
    even = replace(every, balanced=False).find(tmp_path, "train").samples
    assert {one.weight for one in even} == {1.0}


def test_areas_say_the_split(
    source: SceneSource, tmp_path: Path, write_areas: Callable[..., Path]
) -> None:
    """What lies outside of a split's area is unlabelled in its chips."""
    areas = write_areas(train=(0, 0, 80, 128), val=(96, 0, 144, 128), test=(144, 0, 192, 128))
    own = replace(source, split=areas.name)
    found = {one: own.find(tmp_path, one).samples for one in ("train", "val", "test")}
    places = {k: {int(s.name.rpartition(",")[2]) for s in v} for k, v in found.items()}
    assert places == {"train": {0, 32, 64}, "val": {96, 128}, "test": {128, 160}}
    shared = {s.name: s for s in found["val"]}["scene.tif@64,128"]
    masks = read_item(shared).masks
    assert masks[:, 16:].eq(255).all()
    assert masks[:, :16].ne(255).all()


def test_overlap_is_for_training_in_areas(
    source: SceneSource, tmp_path: Path, write_areas: Callable[..., Path]
) -> None:
    """Chips of validation do not overlap."""
    areas = write_areas(train=(0, 0, 96, 128), val=(96, 0, 192, 128))
    own = replace(source, split=areas.name, overlap=16)
    assert len(own.find(tmp_path, "train").samples) > 2 * len(own.find(tmp_path, "val").samples)


def test_validation_is_taken_from_training_areas(
    source: SceneSource,
    tmp_path: Path,
    write_areas: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Blocks of them, which do not overlap; the test's area stays its own, and it is told once."""
    areas = write_areas(train=(0, 0, 128, 128), test=(128, 0, 192, 128))
    found = names(replace(source, split=areas.name, overlap=16, block=2), tmp_path)
    assert found["val"]
    places = {
        split: {tuple(map(int, name.partition("@")[2].split(","))) for name in one}
        for split, one in found.items()
    }
    assert all(row % 32 == column % 32 == 0 for row, column in places["train"] | places["val"])
    blocks = {k: {(row // 64, column // 64) for row, column in v} for k, v in places.items()}
    assert not blocks["train"] & blocks["val"]
    assert {column for _, column in places["test"]} == {128, 160}
    assert caplog.text.count("areas.gpkg for validation: it is taken from those for training") == 1


def test_few_blocks_are_shared_out_chip_by_chip(
    source: SceneSource, tmp_path: Path, write_areas: Callable[..., Path]
) -> None:
    """An area of training that is one block still gives validation; one chip alone does not."""
    areas = write_areas(train=(0, 0, 96, 96))
    found = names(replace(source, split=areas.name, block=4), tmp_path)
    assert len(found["train"] | found["val"]) == 9
    assert len(found["val"]) == 2
    areas = write_areas(train=(0, 0, 30, 30))
    with pytest.raises(InputError, match="too few to share out"):
        names(replace(source, split=areas.name), tmp_path)


def test_the_scale_is_told(source: SceneSource, tmp_path: Path) -> None:
    """Pixels of 0.5 m in UTM, seen through chips of 32."""
    scale = source.scale(tmp_path)
    assert scale.chip == 32
    assert scale.pixel == pytest.approx(0.5, rel=1e-3)


def test_many_bands_and_types(write_scene: Callable[..., Path], write_labels, tmp_path) -> None:
    """Bands are those that are named, stretched over the scene to 0..255."""
    values = np.random.default_rng(0).normal(3000, 800, (12, 128, 192)).astype(np.float32)
    scene = write_scene(values, name="many.tif")
    source = SceneSource(
        (scene.name,), write_labels().name, "kind", size=64, block=1, bands="8,4,3,2,12"
    )
    item = read_item(source.find(tmp_path, "train").samples[0])
    assert item.image.shape == (5, 64, 64)
    assert item.image.min() == 0
    assert item.image.max() == 255


def test_bad_data_is_found_before_training(source: SceneSource, tmp_path: Path) -> None:
    """`fit --check` reads every chip; nothing is in two splits."""
    findings = check(Samples(tmp_path, source), Legend(source.named(tmp_path).names()))
    assert findings["verdict"] == "fit to train on"


def test_what_cannot_be_trained_on_is_refused(
    source: SceneSource, tmp_path: Path, write_areas: Callable[..., Path]
) -> None:
    """One line each."""
    with pytest.raises(InputError, match="too few to share out"):
        names(replace(source, size=256), tmp_path)
    areas = write_areas(val=(0, 0, 192, 128))
    with pytest.raises(InputError, match="has both data and labels"):
        names(replace(source, split=areas.name), tmp_path)
    with pytest.raises(InputError, match="no scene is named"):
        replace(source, scenes=())
    with pytest.raises(InputError, match="give 1 or more of both"):
        replace(source, size=0)
    with pytest.raises(InputError, match="give 0 to 31"):
        replace(source, overlap=32)
    with pytest.raises(InputError, match="shares are"):
        names(replace(source, val=0.0), tmp_path)
