"""Pictures come in as viewers show them, and their masks lie on them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samdomain.errors import InputError
from samdomain_med.files.picture import read_picture

COLOURS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
TURN_RIGHT = 6  # EXIF: the first row is the right side of what viewers show


def save(path: Path, values: np.ndarray, **kwargs: object) -> Path:
    Image.fromarray(values).save(path, **kwargs)
    return path


def test_colours_are_three_channels(tmp_path: Path) -> None:
    """A PNG of colours has the channels first, in the order red, green, blue."""
    case = read_picture(save(tmp_path / "a b ü.png", COLOURS))
    assert case.pixels.tolist() == COLOURS.transpose(2, 0, 1).tolist()
    assert (case.name, case.kind, case.shape, case.notes) == ("a b ü", "picture", (2, 4), ())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_grey_is_one_channel(tmp_path: Path, suffix: str) -> None:
    """A grey picture has one channel."""
    values = np.full((8, 8), 100, dtype=np.uint8)
    assert read_picture(save(tmp_path / f"a{suffix}", values)).pixels.tolist() == [values.tolist()]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_kept_and_told(tmp_path: Path, suffix: str) -> None:
    """Grey values of sixteen bits are as in the file, and a note says so."""
    case = read_picture(save(tmp_path / f"a{suffix}", np.array([[0, 40_000]], dtype=np.uint16)))
    assert case.pixels.tolist() == [[[0, 40_000]]]
    assert "40000" in case.notes[0]


def test_a_palette_becomes_colours(tmp_path: Path) -> None:
    """Numbers of a palette are never taken for brightness."""
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([9, 8, 7, 200, 100, 50])
    image.save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").pixels[:, 0].T.tolist() == [[9, 8, 7], [200, 100, 50]]


def test_transparent_pixels_hold_no_object(tmp_path: Path) -> None:
    """What lies under transparent pixels is black, and a mask there is cleared."""
    values = np.full((1, 2, 4), 200, dtype=np.uint8)
    values[0, :, 3] = 255, 0
    case = read_picture(save(tmp_path / "a.png", values))
    assert case.pixels[:, 0].T.tolist() == [[200, 200, 200], [0, 0, 0]]
    mask = case.write(np.ones((1, 2), dtype=bool), tmp_path)
    assert np.array(Image.open(mask)).tolist() == [[255, 0]]


def test_an_opaque_alpha_band_changes_nothing(tmp_path: Path) -> None:
    """Grey with a full alpha band stays grey, with no pixels left out."""
    values = np.array([[[7, 255], [9, 255]]], dtype=np.uint8)
    case = read_picture(save(tmp_path / "a.png", values))
    assert (case.pixels.tolist(), case.valid) == ([[[7, 9]]], None)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_turned_picture_is_read_as_viewers_show_it(tmp_path: Path, suffix: str) -> None:
    """EXIF's orientation is applied, and the mask lies on the upright picture without it."""
    exif = Image.Exif()
    exif[0x0112] = TURN_RIGHT
    path = save(tmp_path / f"a{suffix}", np.array([[1, 2, 3], [4, 5, 6]], np.uint8), exif=exif)
    case = read_picture(path)
    assert case.pixels.tolist() == [[[4, 1], [5, 2], [6, 3]]]
    assert "as viewers show it" in case.notes[0]
    written = Image.open(case.write(case.pixels[0] == 4, tmp_path))
    assert np.array(written).tolist() == [[255, 0], [0, 0], [0, 0]]
    assert not written.getexif()


def test_several_classes_keep_their_numbers(tmp_path: Path) -> None:
    """A mask of classes holds their numbers, and is read back as labels."""
    case = read_picture(save(tmp_path / "a.png", COLOURS))
    mask = np.arange(8).reshape(2, 4) % 3
    path = case.write(mask, tmp_path / "out", ("benign", "malignant"))
    assert path == tmp_path / "out" / "a_mask.png"
    assert case.labels(path).tolist() == mask.tolist()


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A missing or broken file is an error with its name."""
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.png"):
        read_picture(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_truncated_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    """Half a file is an error with its name, and no half black picture."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path / f"half{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="half"):
        read_picture(path)


@pytest.mark.filterwarnings("ignore")  # what Pillow says of damaged files, before it fails or not
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_damaged_pictures_are_read_or_refused(tmp_path: Path, suffix: str) -> None:
    """Bytes changed anywhere give a picture or an error with the name, and nothing else."""
    draw, path = np.random.default_rng(0), tmp_path / f"odd{suffix}"
    sound = save(path, draw.random((9, 8), np.float32) if suffix == ".tif" else COLOURS)
    content = sound.read_bytes()
    for _ in range(100):
        damaged = bytearray(content)
        for at in draw.integers(0, len(content), 3):
            damaged[at] = draw.integers(256)
        path.write_bytes(damaged)
        try:
            read_picture(path)
        except InputError as error:
            assert path.name in str(error)  # noqa: PT017 - most are read


def test_several_pages_are_refused(tmp_path: Path) -> None:
    """A TIFF of pages is an error that tells how many."""
    page = Image.fromarray(COLOURS)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    with pytest.raises(InputError, match=r"a\.tif has 3 pages"):
        read_picture(tmp_path / "a.tif")


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    """An error names the labels and the picture."""
    case = read_picture(save(tmp_path / "a.png", COLOURS))
    labels = save(tmp_path / "b.png", np.zeros((4, 2), dtype=np.uint8))
    with pytest.raises(InputError, match=r"b\.png has 2 x 4 .*a\.png has 4 x 2"):
        case.labels(labels)


@pytest.mark.parametrize("mask", [np.zeros((4, 2), bool), np.full((2, 4), 2), np.full((2, 4), -1)])
def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path, mask: np.ndarray) -> None:
    """A mask of another shape, or with values that are no class, is not written."""
    case = read_picture(save(tmp_path / "a.png", COLOURS))
    with pytest.raises(InputError, match=r"a\.png"):
        case.write(mask, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Where a file stands in the way of the folder, the error names what cannot be written."""
    case = read_picture(save(tmp_path / "a.png", COLOURS))
    with pytest.raises(InputError, match=r"a_mask\.png cannot be written"):
        case.write(np.zeros((2, 4), bool), tmp_path / "a.png")
