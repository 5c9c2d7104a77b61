from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samdomain.cli import main
from samdomain.training.pictures import read_values, size


def test_each_image_gets_a_mask(trained: Path, tmp_path: Path) -> None:
    """Masks have the images' names and sizes, and are black and white."""
    images = trained.parent / "squares/test/images"
    words = ["predict", "--config", str(trained), "--images", str(images)]
    assert main([*words, "--out", str(tmp_path)]) == 0
    masks = sorted(tmp_path.iterdir())
    assert [path.name for path in masks] == ["8.png", "9.png"]
    values = read_values(masks[0]).numpy()
    assert values.shape == (32, 32)
    assert set(np.unique(values)) <= {0, 255}


def test_a_broken_image_does_not_stop_the_others(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """It is named, and the exit code says that some failed."""
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (20, 10)).save(images / "a.jpg")
    (images / "b.jpg").write_bytes(b"")
    words = ["predict", "--config", str(trained), "--images", str(images)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 4
    assert "b.jpg" in capsys.readouterr().err
    assert size(tmp_path / "out/a.png") == (10, 20)


@pytest.mark.parametrize("words", [[], ["--images", "nowhere"]])
def test_images_have_to_be_given(
    trained: Path, capsys: pytest.CaptureFixture, words: list[str]
) -> None:
    """Without a folder the flag is named."""
    assert main(["predict", "--config", str(trained), *words]) == 2
    assert "--images" in capsys.readouterr().err
