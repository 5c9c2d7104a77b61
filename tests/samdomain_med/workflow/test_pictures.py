from pathlib import Path

import numpy as np
import pytest
from PIL import Image

monai = pytest.importorskip("monai")

from monai.transforms import LoadImage  # noqa: E402 - after the skip

from samdomain.errors import InputError  # noqa: E402
from samdomain.training.folders import Folders  # noqa: E402
from samdomain.training.pictures import read_image, read_values  # noqa: E402
from samdomain_med.files.picture import read_picture  # noqa: E402 - after the skip
from samdomain_med.intensities import Percentiles  # noqa: E402 - after the skip
from samdomain_med.workflow.pictures import (  # noqa: E402
    find_pairs,
    find_pictures,
    origins,
    to_mask,
    to_rgb,
)

# MONAI tries all of its readers, and says which of them this machine lacks.
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")


def stored(path: Path, image: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def noise(mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (5, 8, len(mode)), dtype=np.uint8)
    return Image.fromarray(values.squeeze(-1) if len(mode) == 1 else values)


def write(folder: Path, names: str) -> None:
    for name in names:
        stored(folder / "images" / f"{name}.png", noise())
        stored(folder / "masks" / f"{name}.png", noise("L"))


def test_pairs_are_those_of_fit(tmp_path: Path) -> None:
    """A split's folder gives its images with the masks of the same names."""
    write(tmp_path / "train", "ab")
    write(tmp_path / "validation", "c")
    found = find_pairs(str(tmp_path), "train")
    assert [Path(one["image"]).name for one in found] == ["a.png", "b.png"]
    assert found[0]["label"] == str(tmp_path / "train" / "masks" / "a.png")
    (sample,) = Folders().find(tmp_path, "val").samples
    assert find_pairs(str(tmp_path), "val") == [
        {"image": str(sample.image), "label": str(tmp_path / "validation" / "masks" / "c.png")}
    ]


def test_validation_comes_from_training_where_there_is_none(tmp_path: Path) -> None:
    """A fifth of the training images, which then do not train."""
    write(tmp_path, "abcdefghij")
    train, val = find_pairs(str(tmp_path), "train"), find_pairs(str(tmp_path), "val")
    assert (len(train), len(val)) == (8, 2)
    assert not {one["image"] for one in train} & {one["image"] for one in val}


def test_nothing_to_read_is_told(tmp_path: Path) -> None:
    """A folder without pictures, and a split that is not there."""
    write(tmp_path / "train", "ab")
    with pytest.raises(InputError, match="no images with masks for 'test'"):
        find_pairs(str(tmp_path), "test")
    with pytest.raises(InputError, match="has no pictures"):
        find_pictures(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_an_image_has_the_pixels_that_fit_sees(mode: str, tmp_path: Path) -> None:
    """Rows before columns, three channels."""
    path = stored(tmp_path / "a.png", noise(mode))
    load = LoadImage(
        reader="PILReader", reverse_indexing=False, converter=to_rgb, ensure_channel_first=True
    )
    np.testing.assert_array_equal(load(path).numpy(), read_image(path).numpy())


def test_sixteen_bits_are_stretched_as_the_command_does(tmp_path: Path) -> None:
    """Nothing is cut off at 255."""
    values = np.random.default_rng(0).integers(0, 40_000, (5, 8)).astype(np.uint16)
    path = stored(tmp_path / "a.png", Image.fromarray(values))
    load = LoadImage(
        reader="PILReader", reverse_indexing=False, converter=to_rgb, ensure_channel_first=True
    )
    shown = Percentiles()(read_picture(path).pixels).expand(3, -1, -1)
    np.testing.assert_allclose(load(path).numpy(), shown.numpy(), atol=0.51)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_an_image_that_is_stored_turned_is_read_upright(suffix: str, tmp_path: Path) -> None:
    """As `samdomain fit` reads it, whatever way the camera was held."""
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: rows of the file are columns of the picture
    path = tmp_path / f"a.{suffix}"
    noise().save(path, exif=turned)
    load = LoadImage(
        reader="PILReader", reverse_indexing=False, converter=to_rgb, ensure_channel_first=True
    )
    assert load(path).shape == (3, 8, 5)
    np.testing.assert_array_equal(load(path).numpy(), read_image(path).numpy())


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB"])
def test_a_mask_is_what_fit_takes_as_the_object(mode: str, tmp_path: Path) -> None:
    """All that is not zero, in whatever kind of image."""
    grey = noise("L").point(lambda value: value if value > 127 else 0)
    path = stored(tmp_path / "a.png", grey.convert(mode))
    load = LoadImage(
        reader="PILReader", reverse_indexing=False, converter=to_mask, ensure_channel_first=True
    )
    np.testing.assert_array_equal(load(path)[0].numpy(), (read_values(path) != 0).numpy())


def test_a_batch_tells_its_files(tmp_path: Path) -> None:
    """Tables of MONAI name files by what the images know."""
    path = stored(tmp_path / "a.png", noise())
    (told,) = origins([{"image": LoadImage()(path)}])
    assert told["filename_or_obj"] == str(path)
