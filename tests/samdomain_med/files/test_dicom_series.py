"""A folder of DICOM files is a volume in the order of its places, or says why it is none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from monai.data import PydicomReader
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1

from samdomain.errors import InputError
from samdomain_med.files.dicom_series import read_series

VALUES = np.arange(24, dtype=np.int16).reshape(2, 3, 4) * 10
Write = Callable[..., Path]


def test_slices_are_ordered_by_their_places(tmp_path: Path, write_series: Write) -> None:
    """Names say nothing: indices are column, row and slice along the normal."""
    case = read_series(write_series(tmp_path / "a b ü", VALUES))
    assert np.array_equal(case.pixels[0], VALUES.transpose(2, 1, 0))
    assert (case.name, case.kind, case.modality) == ("a b ü", "dicom", "CT")


def test_the_affine_is_right_anterior_superior(tmp_path: Path, write_series: Write) -> None:
    """Columns step to the left, which counts down; all by hand from the header's numbers."""
    case = read_series(write_series(tmp_path, VALUES))
    # step right 0.75 a column, 0.5 (0, 0.8, 0.6) a row, 2 (0, -0.6, 0.8) a slice; x and y turned
    by_hand = [[-0.75, 0, 0, 10], [0, -0.4, 1.2, -20], [0, 0.3, 1.6, -30], [0, 0, 0, 1]]
    assert case.affine == pytest.approx(np.array(by_hand))
    assert case.spacing == pytest.approx((0.75, 0.5, 2.0))


def test_monai_reads_the_same(tmp_path: Path, write_series: Write) -> None:
    """MONAI's reader gives the same values at the same places."""
    folder = write_series(tmp_path / "series", VALUES, RescaleSlope=2, RescaleIntercept=-1000)
    reader = PydicomReader()
    values, told = reader.get_data(reader.read(folder))
    case = read_series(folder)
    assert np.array_equal(values, case.pixels[0])
    assert case.affine == pytest.approx(told["affine"])
    assert case.pixels.dtype == np.float32


def test_a_tilted_gantry_keeps_its_shear(tmp_path: Path, write_image: Write) -> None:
    """Slices that lie straight above one another and are tilted step along the patient."""
    for number in range(3):
        write_image(tmp_path / f"{number}", VALUES[0], number, ImagePositionPatient=[0, 0, number])
    assert read_series(tmp_path).affine[:, 2].tolist() == [0, 0, 1, 0]


def test_one_image_is_rows_and_columns(tmp_path: Path, write_image: Write) -> None:
    """A file without a place, as of ultrasound, is an image as a picture is."""
    nowhere = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    case = read_series(write_image(tmp_path / "us.dcm", VALUES[0], Modality="US", **nowhere))
    assert np.array_equal(case.pixels, VALUES[:1])
    assert (case.name, case.affine, case.spacing, case.modality) == ("us", None, None, "US")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_monochrome1_is_turned_round(tmp_path: Path, write_image: Write, kind: type) -> None:
    """Where low is white, the lowest value that can be stored becomes the highest."""
    values = np.array([[0, 1], [2, 100]], dtype=kind)
    path = write_image(tmp_path / "a", values, PhotometricInterpretation="MONOCHROME1")
    ends = np.iinfo(kind)
    assert read_series(path).pixels.tolist() == [
        (ends.max + ends.min - values.astype(int)).tolist()
    ]


def test_colours_are_three_channels(tmp_path: Path, write_image: Write) -> None:
    """An endoscope's picture is red, green and blue."""
    values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(
        read_series(write_image(tmp_path / "a", values)).pixels, values.transpose(2, 0, 1)
    )


def test_ybr_becomes_rgb(tmp_path: Path, write_image: Write) -> None:
    """Brightness with two neutral differences is grey (ITU-R BT.601)."""
    values = np.tile(np.array([90, 128, 128], np.uint8), (2, 4, 1))
    path = write_image(tmp_path / "a", values, PhotometricInterpretation="YBR_FULL")
    assert (read_series(path).pixels == 90).all()


def test_reports_and_segmentations_are_left_out(
    tmp_path: Path, write_series: Write, write_image: Write
) -> None:
    """Objects in the folder that are no images do not count as a series."""
    write_series(tmp_path, VALUES)
    write_image(tmp_path / "seg.dcm", VALUES[0], Modality="SEG", SeriesInstanceUID="1.2.3")
    write_image(tmp_path / "sr.dcm", VALUES[0], Modality="SR", SeriesInstanceUID="1.2.4", Rows=None)
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / ".hidden.dcm").write_text("no DICOM")
    assert read_series(tmp_path).shape == (4, 3, 2)


def test_a_file_without_its_preamble_is_read(tmp_path: Path, write_image: Write) -> None:
    """Old scanners begin with the data; the ending of the name tells that it is DICOM."""
    data = dcmread(write_image(tmp_path / "a", VALUES[0]))
    del data.file_meta
    data.save_as(tmp_path / "old.dcm", implicit_vr=True, little_endian=True)
    assert np.array_equal(read_series(tmp_path / "old.dcm").pixels, VALUES[:1])


@pytest.fixture
def two(tmp_path: Path, write_series: Write) -> Path:
    """Two series in one folder, the second with values ten higher."""
    write_series(tmp_path / "two", VALUES)
    other = write_series(tmp_path / "other", VALUES + 1, SeriesInstanceUID="1.2.3", SeriesNumber=9)
    for file in other.iterdir():
        shutil.copy(file, tmp_path / "two" / f"b{file.name}")
    return tmp_path / "two"


def test_several_series_are_refused(two: Path) -> None:
    """An error tells how many there are and how to choose, and nothing of the patient."""
    with pytest.raises(InputError, match=r"two holds 2 series \(1: 2 files as .*--series") as told:
        read_series(two)
    assert "Jane" not in str(told.value)


@pytest.mark.parametrize("series", ["2", "1.2.3"])
def test_a_series_is_chosen_by_number_or_uid(two: Path, series: str) -> None:
    """Numbers follow the scanner's own."""
    assert read_series(two, series=series).pixels.min() == 1


@pytest.mark.parametrize("series", ["0", "3", "all", "1.2"])
def test_a_series_that_is_not_there_is_refused(two: Path, series: str) -> None:
    """An error repeats what was asked for."""
    with pytest.raises(InputError, match=f"none is '{series}'"):
        read_series(two, series=series)


def test_a_missing_slice_is_refused(tmp_path: Path, write_series: Write) -> None:
    """An error names the gap and its neighbours."""
    write_series(tmp_path, np.repeat(VALUES, 3, axis=0))
    (tmp_path / "0004").unlink()
    with pytest.raises(InputError, match=r"missing between .*0005 and 0003: 4 mm .* 2 mm"):
        read_series(tmp_path)


def test_two_slices_at_one_place_are_refused(tmp_path: Path, write_series: Write) -> None:
    """Times or echoes of one volume are an error that names two files."""
    write_series(tmp_path, VALUES)
    shutil.copy(tmp_path / "0001", tmp_path / "copy")
    with pytest.raises(InputError, match="0001 and copy lie at the same place"):
        read_series(tmp_path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"PixelSpacing": [0.5, 0.5]}, "pixel sizes"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "directions"),
        ({"ImagePositionPatient": None}, "where it lies"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "a place that is none"),
        ({"PixelSpacing": [0, 0]}, "a place that is none"),
        ({"ImagePositionPatient": [5.0, 20.0 - 2.4, -30.0 + 3.2]}, "beside the line"),
        ({"ImagePositionPatient": [-10.0, 20.0 - 1.62, -30.0 + 2.16]}, "even distances"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"PixelData": None}, "no pixels"),
        ({"PixelData": b"\0\0"}, "cannot be read"),
        ({"BitsAllocated": 7}, "cannot be read"),
    ],
)
def test_a_slice_that_does_not_fit_is_refused(
    tmp_path: Path, write_series: Write, write_image: Write, changes: dict[str, object], what: str
) -> None:
    """An error names a file and what is wrong with it, and not the patient."""
    write_series(tmp_path, VALUES)
    write_image(tmp_path / "odd", VALUES[0], 2, **changes)
    with pytest.raises(InputError, match=what) as told:
        read_series(tmp_path)
    assert str(tmp_path) in str(told.value)
    assert not any(word in str(told.value) for word in ("DOE", "4711", "1970"))


def test_rows_and_columns_must_agree(
    tmp_path: Path, write_series: Write, write_image: Write
) -> None:
    """A slice of another size is an error."""
    write_series(tmp_path, VALUES)
    write_image(tmp_path / "odd", VALUES[0].T.copy(), 2)
    with pytest.raises(InputError, match=r"odd .*different rows and columns"):
        read_series(tmp_path)


def test_a_compression_without_a_decoder_is_named(tmp_path: Path, write_image: Write) -> None:
    """An error tells the compression and how to go on."""
    data = dcmread(write_image(tmp_path / "a", VALUES[0]))
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "jpeg.dcm")
    with pytest.raises(InputError, match=r"jpeg\.dcm is compressed as JPEG Lossless.*pip install"):
        read_series(tmp_path / "jpeg.dcm")


@pytest.mark.parametrize("content", [None, b"", b"Jane Doe, born 1970", b"\0" * 128 + b"DICM"])
def test_what_is_no_dicom_is_named(
    tmp_path: Path, write_series: Write, content: bytes | None
) -> None:
    """A text file that is called .dcm is an error with its name, alone or in a folder."""
    path = write_series(tmp_path / "series", VALUES) / "bad.dcm"
    if content is not None:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.dcm"):
            read_series(path.parent)
    with pytest.raises(InputError, match=r"bad\.dcm") as told:
        read_series(path)
    assert "Jane" not in str(told.value)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, write_image: Write, part: float) -> None:
    """A file that ends anywhere is an error with its name."""
    path = write_image(tmp_path / "half.dcm", np.zeros((32, 32), np.int16))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError, match=r"half\.dcm"):
        read_series(path)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    """An empty folder is an error with its name."""
    with pytest.raises(InputError, match="holds no DICOM image"):
        read_series(tmp_path)


def test_nothing_of_the_patient_comes_out(
    tmp_path: Path,
    write_image: Write,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A header whose values break the standard is read without a word of what it says."""
    path = write_image(tmp_path / "a.dcm", VALUES[0])
    content = path.read_bytes().replace(b"19700102", b"DOE^JANE")  # a date that is none
    for uid in (b"1.2.826.0.1.3680043.8.498.1.7", b"1.2.826.0.1.3680043.8.498.1.9"):
        content = content.replace(uid, b"DOE^JANE" + uid[8:])
    path.write_bytes(content)
    case = read_series(path)
    with pytest.raises(InputError) as told:
        read_series(path, series="2")
    said = (
        str(told.value) + caplog.text + "".join(capfd.readouterr()) + repr(case) + repr(case.origin)
    )
    assert not any(word in said for word in ("DOE", "JANE", "4711", "ACC-0815"))


@pytest.mark.parametrize("deflated", [False, True])
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, write_image: Write, deflated: bool
) -> None:
    """Bytes changed anywhere give an image or an error with the name, and nothing else."""
    draw, told = np.random.default_rng(0), []
    path = write_image(tmp_path / "sound", VALUES[0])
    if deflated:
        data = dcmread(path)
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        data.save_as(path)
    sound = path.read_bytes()
    for _ in range(60):
        content = bytearray(sound)
        for at in draw.integers(128, len(content), 3):
            content[at] = draw.integers(256)
        (tmp_path / "odd.dcm").write_bytes(content)
        try:
            case = read_series(tmp_path / "odd.dcm")
            case.write(np.ones(case.shape, bool), tmp_path)
        except InputError as error:
            told.append(str(error))
    assert told
    assert all("odd.dcm" in message and "DOE" not in message for message in told)
