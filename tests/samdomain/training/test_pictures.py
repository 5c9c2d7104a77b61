from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samdomain.errors import InputError
from samdomain.training.pictures import pictures, read_image, read_values, size


def save(path: Path, values: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path)
    return path


def test_an_image_has_three_channels(tmp_path: Path) -> None:
    """Colours are kept in the order red, green, blue."""
    values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = read_image(save(tmp_path / "a.png", values))
    assert image.tolist() == values.transpose(2, 0, 1).tolist()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_grey_is_repeated(tmp_path: Path, kind: type) -> None:
    """A grey TIFF of any type is the same three times, its values as they are."""
    values = np.array([[0, 200], [50, 250]], dtype=kind) * (100 if kind is np.uint16 else 1)
    image = read_image(save(tmp_path / "a.tif", values))
    assert image.tolist() == [values.tolist()] * 3


def test_transparency_is_dropped(tmp_path: Path) -> None:
    """A PNG with an alpha band gives its colours."""
    values = np.full((2, 2, 4), 7, dtype=np.uint8)
    assert read_image(save(tmp_path / "a.png", values)).tolist() == [[[7, 7], [7, 7]]] * 3


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "LA", "RGBA"])
def test_a_mask_is_where_it_is_not_black(tmp_path: Path, mode: str) -> None:
    """Black and white mean the same in every mode."""
    values = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    mask = read_values(save(tmp_path / "a.png", values, mode))
    assert (mask != 0).tolist() == [[False, True], [True, False]]


def test_ids_of_sixteen_bits_are_kept(tmp_path: Path) -> None:
    """A mask of instance numbers gives the numbers."""
    values = np.array([[0, 300], [70, 65535]], dtype=np.uint16)
    assert read_values(save(tmp_path / "a.png", values)).tolist() == values.tolist()


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_that_is_stored_turned_is_not_garbled(
    tmp_path: Path, compression: str | None
) -> None:
    """A TIFF's orientation is applied, compressed or not."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side of what viewers show
    turned = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8))
    turned.save(tmp_path / "a.tif", exif=exif, compression=compression)
    assert read_image(tmp_path / "a.tif")[0].tolist() == [[4, 1], [5, 2], [6, 3]]


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_images_are_read_as_viewers_show_them(tmp_path: Path, ending: str) -> None:
    """A camera that was held upright stores rows as columns; its masks are drawn upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.zeros((16, 24), dtype=np.uint8)).save(path, exif=exif)
    assert read_image(path).shape == (3, 24, 16)
    assert size(path) == (24, 16)


def test_size_is_rows_and_columns(tmp_path: Path) -> None:
    """The size comes without reading the pixels."""
    assert size(save(tmp_path / "a.png", np.zeros((2, 5), dtype=np.uint8))) == (2, 5)


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A missing or broken file is an error with its name."""
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png"):
        read_image(path)


def test_half_an_image_is_named(tmp_path: Path) -> None:
    """A file that ends too early is an error with its name."""
    noise = torch.randint(0, 255, (64, 64, 3), dtype=torch.uint8).numpy()
    path = save(tmp_path / "a.png", noise)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"a\.png"):
        read_image(path)


def test_pictures_are_listed_in_order(tmp_path: Path) -> None:
    """Folders within are listed too, other files are not."""
    (tmp_path / "b").mkdir()
    for name in ("b/c.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert pictures(tmp_path) == [tmp_path / "a.png", tmp_path / "b/c.JPG"]
