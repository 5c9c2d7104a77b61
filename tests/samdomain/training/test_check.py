import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from samdomain.cli import main
from samdomain.recipes import Legend
from samdomain.training.check import check
from samdomain.training.data import Samples
from samdomain.training.folders import Folders
from samdomain.training.objects import Classes


def test_good_data_is_fit_to_train_on(squares: Path) -> None:
    """Nothing is listed but how many images there are."""
    found = check(Samples(squares))
    assert found == {"images": {"train": 6, "val": 2, "test": 2}, "verdict": "fit to train on"}
    assert found.exit_code == 0


def test_bad_data_is_listed(squares: Path) -> None:
    """Each kind of fault is named with its image; what spoils figures is fatal."""
    train = squares / "train"
    Image.new("L", (32, 32)).save(train / "masks/0.png")
    Image.new("L", (32, 32), 255).save(train / "masks/1.png")
    Image.new("L", (16, 32), 255).save(train / "masks/2.png")
    (train / "images/3.png").write_bytes(b"no image")
    (train / "masks/4.png").unlink()
    (squares / "val/images/6.png").write_bytes((train / "images/5.png").read_bytes())
    (squares / "test/images/8.png").write_bytes((squares / "test/images/9.png").read_bytes())
    found = check(Samples(squares))
    assert found["no object"] == ["train 0"]
    assert found["all of the image is object"] == ["train 1"]
    assert [one.split(":")[0] for one in found["unreadable"]] == ["train 2", "train 3"]
    assert found["does not pair"] == [f"{train / 'images/4.png'} has no mask"]
    assert found["in several splits"] == ["train 5 = val 6"]
    assert found["several times"] == ["test 8 = test 9"]
    assert found.exit_code == 2


@pytest.mark.parametrize("fatal", [False, True])
def test_the_command_lists_and_ends(
    config: Callable[..., Path], squares: Path, capsys: pytest.CaptureFixture, fatal: bool
) -> None:
    """`fit --check` trains nothing; its exit code is 2 where something is fatal."""
    if fatal:
        (squares / "val/masks/6.png").write_bytes(b"")
    code = main(["fit", "--config", str(config()), "--check", "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (2 if fatal else 0)
    assert ("unreadable" in found) == fatal


def test_validation_from_training_is_checked_too(pairs: Callable[[str, range], Path]) -> None:
    """Without splits, validation is taken from training, and copies across both are found."""
    folder = pairs("plain", range(5))
    for number in range(5):
        (folder / f"images/{number}.png").write_bytes((folder / "images/0.png").read_bytes())
    found = check(Samples(folder))
    assert found["images"] == {"train": 4, "val": 1}
    assert found.exit_code == 2


def test_maps_are_held_against_the_classes(squares: Path) -> None:
    """A value that is no class is fatal; a map without labels is told of."""
    train = squares / "train"
    for path in squares.rglob("masks/*.png"):
        Image.new("L", (32, 32), 1).save(path)
    Image.new("L", (32, 32), 7).save(train / "masks/0.png")
    Image.new("L", (32, 32), 255).save(train / "masks/1.png")
    data = Samples(squares, Folders(objects=Classes()))
    found = check(data, Legend(("ground", "roof")))
    assert [one.split(":")[0] for one in found["not of the classes"]] == ["train 0"]
    assert found["nothing labelled"] == ["train 1"]
    assert found.exit_code == 2
    assert len(check(data)["not of the classes"]) == 10  # a recipe without classes takes none
