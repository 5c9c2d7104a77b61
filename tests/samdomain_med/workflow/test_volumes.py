from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

monai = pytest.importorskip("monai")

from monai.data import MetaTensor  # noqa: E402 - after the skip
from monai.transforms import LoadImage  # noqa: E402

from samdomain.errors import InputError  # noqa: E402
from samdomain_med.workflow.volumes import SlicesInferer, find_scans, find_volumes  # noqa: E402


def write(folder: Path, names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), folder / f"{name}.nii")


def names(folder: Path, split: str) -> str:
    return "".join(Path(one["image"]).stem for one in find_volumes(str(folder), split))


def test_a_list_says_the_splits(tmp_path: Path) -> None:
    """By names with or without the ending."""
    write(tmp_path / "images", "abc")
    write(tmp_path / "labels", "abc")
    (tmp_path / "splits.csv").write_text("file,split\na.nii,train\nb,val\nc.nii,test\n")
    assert [names(tmp_path, split) for split in ("train", "val", "test")] == ["a", "b", "c"]
    (pair,) = find_volumes(str(tmp_path), "val")
    assert pair["label"] == str(tmp_path / "labels" / "b.nii")


def test_folders_say_the_splits(tmp_path: Path) -> None:
    """As for pictures."""
    for split, one in (("train", "a"), ("validation", "b")):
        write(tmp_path / split / "images", one)
        write(tmp_path / split / "labels", one)
    assert (names(tmp_path, "train"), names(tmp_path, "val")) == ("a", "b")
    with pytest.raises(InputError, match="no volumes with labels for 'test'"):
        find_volumes(str(tmp_path), "test")


def test_the_decathlon_is_read_as_it_is(tmp_path: Path) -> None:
    """Its folders' names; a fifth of the volumes with labels is for validation."""
    write(tmp_path / "imagesTr", "abcde")
    write(tmp_path / "labelsTr", "abcde")
    write(tmp_path / "imagesTs", "x")
    train, val = names(tmp_path, "train"), names(tmp_path, "val")
    assert (len(train), len(val)) == (4, 1)
    assert sorted(train + val) == list("abcde")


def test_nothing_to_read_is_told(tmp_path: Path) -> None:
    """Volumes without labels, and a folder without volumes."""
    write(tmp_path / "images", "a")
    with pytest.raises(InputError, match="imagesTr"):
        find_volumes(str(tmp_path), "train")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    with pytest.raises(InputError, match="holds no case"):
        find_scans(str(tmp_path / "empty"))


def test_scans_are_volumes_only(tmp_path: Path) -> None:
    """In folders below, too."""
    write(tmp_path / "deep" / "images", "a")
    assert [Path(one["image"]).name for one in find_scans(str(tmp_path))] == ["a.nii"]


def test_the_inferer_asks_slice_by_slice() -> None:
    """The answer to each voxel is that of its slice and its neighbours, and knows its place."""
    scans = MetaTensor(torch.rand(2, 1, 3, 4, 5), meta={"place": "here"})

    def network(images: Tensor) -> Tensor:
        assert images.shape[1] == 3
        return images[:, 1:]

    found = SlicesInferer(axis=1, batch=2)(scans, network)
    assert isinstance(found, MetaTensor)
    assert found.meta["place"] == "here"
    assert found.shape == (2, 2, 3, 4, 5)
    plain = scans.as_tensor()
    assert torch.equal(found.as_tensor()[:, 0], plain[:, 0])
    assert torch.equal(found.as_tensor()[:, 1, :, :-1], plain[:, 0, :, 1:])


@pytest.mark.filterwarnings("ignore:NvImgCodec")  # MONAI tries its other readers too
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_volume_that_is_cut_off_is_named(tmp_path: Path, suffix: str) -> None:
    """Of MONAI's own reader one learns that a file ended early, and not which."""
    path = tmp_path / f"case{suffix}"
    values = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    load = LoadImage(reader="samdomain_med.workflow.volumes.VolumeReader", image_only=True)
    assert load(path).shape == (9, 9, 9)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    with pytest.raises(InputError, match=rf"case{suffix} is broken: its voxels cannot be read"):
        load(path)
