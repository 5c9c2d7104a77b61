import numpy as np
import pytest
import torch

from samdomain.errors import InputError

pytest.importorskip("monai")

from monai.data.meta_tensor import MetaTensor
from monai.transforms.post.dictionary import Invertd

from samdomain_med.transforms import (
    BoxesFromLabeld,
    CheckLabeld,
    PictureValuesd,
    RandSlicesd,
    batch_prompts,
    to_input,
)


def label() -> torch.Tensor:
    """Two objects: rows 2 to 5 and columns 4 to 9; rows 20 to 29 and columns 30 to 34."""
    planes = torch.zeros(1, 40, 56)
    planes[0, 2:6, 4:10] = 1
    planes[0, 20:30, 30:35] = 2
    return planes


@pytest.mark.parametrize(("window", "expected"), [("lung", 0.5), ((100, 200), 0.0)])
def test_windows_show_hounsfield_units(window: object, expected: float) -> None:
    """-600 is the middle of the lung's window, and below 0 to 200."""
    image = torch.full((1, 4, 5, 6), -600.0)
    shown = PictureValuesd("image", window=window)({"image": image})["image"]
    assert shown.shape == (3, 4, 5, 6)
    torch.testing.assert_close(shown, torch.full_like(shown, expected))


def test_what_a_metatensor_knows_stays() -> None:
    """Affine and type survive."""
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.rand(1, 4, 5, 6), affine=affine)
    shown = PictureValuesd("image")({"image": image})["image"]
    assert isinstance(shown, MetaTensor)
    assert torch.equal(shown.affine, affine)
    assert float(shown.min()) >= 0
    assert float(shown.max()) <= 1


def test_odd_channels_and_windows_are_refused() -> None:
    """The messages say what is allowed."""
    with pytest.raises(InputError, match="2 channels"):
        PictureValuesd("image")({"image": torch.rand(2, 4, 4)})
    with pytest.raises(InputError, match="known are soft_tissue"):
        PictureValuesd("image", window="heart")


def test_boxes_are_around_objects() -> None:
    """Without a hurried hand they are tight; x counts along the last axis."""
    made = BoxesFromLabeld(objects=2, share=0.0)({"label": label()})
    boxes = {tuple(box) for box in made["boxes"].tolist()}
    assert boxes == {(4, 2, 10, 6), (30, 20, 35, 30)}
    for box, mask in zip(made["boxes"].int().tolist(), made["prompted"], strict=True):
        left, top, right, bottom = box
        assert mask[top:bottom, left:right].all()
        assert int(mask.sum()) == (right - left) * (bottom - top)


def test_their_number_never_changes() -> None:
    """Few objects are asked for again; without any the whole image is, for nothing."""
    assert BoxesFromLabeld(objects=5)({"label": label()})["boxes"].shape == (5, 4)
    made = BoxesFromLabeld(objects=2)({"label": torch.zeros(1, 40, 56)})
    assert made["boxes"].tolist() == [[0, 0, 56, 40]] * 2
    assert not made["prompted"].any()
    with pytest.raises(InputError, match="1 or more"):
        BoxesFromLabeld(objects=0)


def test_chance_is_monais() -> None:
    """The same random state draws the same boxes."""

    def drawn(seed: int) -> np.ndarray:
        transform = BoxesFromLabeld(objects=1).set_random_state(seed)
        return transform({"label": label()})["boxes"].numpy()

    assert np.array_equal(drawn(3), drawn(3))
    assert len({drawn(seed).tobytes() for seed in range(4)}) > 1


def test_boxes_of_a_batch_know_their_images() -> None:
    """They stand image by image."""
    prompts = batch_prompts(torch.arange(24.0).reshape(2, 3, 4) + torch.tensor([0, 0, 9.0, 9]))
    assert prompts.images is not None
    assert prompts.images.tolist() == [0, 0, 0, 1, 1, 1]


def test_answers_come_back_to_the_planes_as_they_were() -> None:
    """Resized and padded for the model, and inverted by MONAI."""
    transform = to_input("image", 112, "nearest")  # twice as large: nothing is lost
    image = MetaTensor(label())
    data = transform({"image": image})
    assert data["image"].shape == (1, 112, 112)
    data["pred"] = data["image"].clone()
    inverted = Invertd("pred", transform, "image", nearest_interp=True)(data)
    assert torch.equal(inverted["pred"].as_tensor(), label())


def test_one_channel_may_stay_one() -> None:
    """Slices of a volume get their channels of their neighbours."""
    scan = torch.rand(1, 4, 5, 6) * 900
    shown = PictureValuesd("image", repeat=False)({"image": scan})["image"]
    assert shown.shape == scan.shape
    assert torch.equal(shown, PictureValuesd("image")({"image": scan})["image"][:1])


def test_slices_have_their_neighbours_and_their_own_label() -> None:
    """All of them, in their order; what else there is goes along."""
    scan = torch.arange(4.0).expand(1, 2, 3, 4)
    slices = RandSlicesd()({"image": scan, "label": scan + 10, "name": "a"})
    shown = [one["image"][:, 0, 0].tolist() for one in slices]
    assert shown == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert [one["label"].unique().tolist() for one in slices] == [[10], [11], [12], [13]]
    assert slices[0]["label"].shape == (1, 2, 3)
    assert {one["name"] for one in slices} == {"a"}


def test_some_slices_are_drawn_once_each() -> None:
    """By the random state, along any axis; never more than there are."""
    data = {"image": torch.arange(5.0)[:, None, None].expand(1, 5, 2, 3)} | {
        "label": torch.zeros(1, 5, 2, 3)
    }

    def drawn(seed: int, count: int) -> list[float]:
        transform = RandSlicesd(axis=0, num_samples=count).set_random_state(seed)
        return [float(one["image"][1].mean()) for one in transform(data)]

    assert drawn(3, 2) == drawn(3, 2)
    assert len(set(drawn(3, 4))) == 4
    assert sorted(drawn(3, 9)) == [0, 1, 2, 3, 4]


def stored(name: str, *shape: int) -> MetaTensor:
    """Zeros that were read from a file."""
    return MetaTensor(torch.zeros(*shape), meta={"filename_or_obj": name})


def test_a_label_of_another_size_names_both_files() -> None:
    """And both sizes; channels do not matter, and what fits is left as it is."""
    image = stored("a/images/7.png", 3, 40, 56)
    with pytest.raises(InputError, match=r"masks/7.png is 40 x 55, its image a/images/7.png is"):
        CheckLabeld()({"image": image, "label": stored("a/masks/7.png", 1, 40, 55)})
    data = {"image": image, "label": stored("a/masks/7.png", 1, 40, 56)}
    assert CheckLabeld()(data) is data
    with pytest.raises(InputError, match="'label' is 4 x 4, its image 'image' is 4 x 5"):
        CheckLabeld()({"image": torch.zeros(1, 4, 5), "label": torch.zeros(1, 4, 4)})


def test_a_value_that_is_no_class_names_its_file() -> None:
    """Only where classes are numbered."""
    volume, labels = stored("a.nii", 1, 4, 4, 4), stored("labels/a.nii", 1, 4, 4, 4)
    labels[0, 0, 0, 0] = 3
    data = {"image": volume, "label": labels}
    assert CheckLabeld(classes=4)(data) is CheckLabeld()(data)
    with pytest.raises(
        InputError, match=r"labels/a.nii has values from 0 to 3: allowed are 0 to 2"
    ):
        CheckLabeld(classes=3)(data)


def test_a_label_that_lies_elsewhere_names_both_files() -> None:
    """Of volumes; rounding of a header is not told, and a picture lies nowhere."""
    image, labels = stored("a.nii", 1, 4, 4, 4), stored("labels/a.nii", 1, 4, 4, 4)
    image.affine = torch.diag(torch.tensor([2.0, 2, 4, 1]))
    labels.affine = image.affine + 1e-3
    data = {"image": image, "label": labels}
    assert CheckLabeld()(data) is data
    labels.affine = torch.diag(torch.tensor([-2.0, 2, 4, 1]))
    with pytest.raises(InputError, match=r"labels/a.nii does not lie where its image a.nii does: "):
        CheckLabeld()(data)
    pictures = {"image": stored("a.png", 3, 4, 4), "label": stored("b.png", 1, 4, 4)}
    pictures["label"].affine = torch.diag(torch.tensor([2.0, 2, 1, 1]))
    assert CheckLabeld()(pictures) is pictures


def test_errors_of_volumes_name_their_files() -> None:
    """Channels that no picture is made of, and grids that differ."""
    with pytest.raises(InputError, match=r"series.nii has 5 channels"):
        PictureValuesd("image")({"image": stored("series.nii", 5, 4, 4, 4)})
    data = {"image": stored("a.nii", 1, 4, 4, 4), "label": stored("b.nii", 1, 4, 4, 5)}
    with pytest.raises(InputError, match=r"a.nii is \(4, 1, 4, 4\), its label b.nii is"):
        RandSlicesd()(data)


def test_a_label_of_another_grid_is_refused() -> None:
    """Slices of both have to be the same ones."""
    data = {"image": torch.zeros(1, 4, 4, 4), "label": torch.zeros(1, 4, 4, 5)}
    with pytest.raises(InputError, match="one grid"):
        RandSlicesd()(data)
    with pytest.raises(InputError, match="1 or more"):
        RandSlicesd(num_samples=0)
