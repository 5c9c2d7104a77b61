import pytest
import torch
from torch import Tensor

from samdomain import Segmenter, load_sam
from samdomain.errors import InputError
from samdomain.recipes import SAMed
from samdomain.testing import move_trained
from samdomain_med.slices import NEIGHBOURS, REPEATED, Slicing, segment_slices


def channels(images: Tensor) -> Tensor:
    return images


def bright(images: Tensor) -> Tensor:
    return (images[:, 1:2] > 127.5).float()


@pytest.fixture
def segmenter() -> Segmenter:

    recipe, sam = SAMed(("front", "back")), load_sam("tiny")
    for stage in recipe.stages:
        stage.adapt(sam)
    return Segmenter(move_trained(sam).eval(), recipe).eval()


@pytest.mark.parametrize("axis", range(3))
def test_a_threshold_finds_what_is_bright(axis: int) -> None:
    """Along every axis the answer lies in the volume's own grid."""
    volume = torch.rand(5, 6, 7) * 255
    found = segment_slices(bright, volume, Slicing(axis), batch=2)
    assert torch.equal(found, (volume > 127.5)[None].float())


def test_neighbours_are_channels() -> None:
    """Each slice comes with the one before and after; the ends stand for what is beyond."""
    volume = torch.arange(4.0)[None, None].expand(2, 3, 4)
    found = segment_slices(channels, volume, Slicing(2, NEIGHBOURS), batch=3)
    assert found[:, 0, 0].tolist() == [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]


def test_a_slice_may_be_repeated() -> None:
    """All three channels are the slice itself."""
    volume = torch.arange(4.0)[None, None].expand(2, 3, 4)
    found = segment_slices(channels, volume, Slicing(2, REPEATED))
    assert found[:, 0, 0].tolist() == [[0, 1, 2, 3]] * 3


def test_channels_stay_together() -> None:
    """A volume of channels gives those of each offset, one offset after the other."""
    volume = torch.stack([torch.arange(3.0), torch.arange(3.0) + 10])[:, None, None]
    found = segment_slices(channels, volume, Slicing(2, (0, 1)))
    assert found[:, 0, 0].tolist() == [[0, 1, 2], [10, 11, 12], [1, 2, 2], [11, 12, 12]]
    assert torch.equal(segment_slices(channels, volume, Slicing(2, (0,))), volume)


def test_one_slice_is_a_volume() -> None:
    """Its neighbours are itself."""
    volume = torch.rand(5, 1, 7) * 255
    assert torch.equal(segment_slices(bright, volume, Slicing(1))[0], (volume > 127.5).float())


def test_a_segmenter_is_asked(segmenter: Segmenter) -> None:
    """Its probabilities add up in every voxel, whatever the batch."""
    volume = torch.rand(20, 24, 5) * 255
    one, all_ = (
        segment_slices(segmenter.probabilities, volume, Slicing(2), batch) for batch in (1, 8)
    )
    assert one.shape == (len(segmenter.legend), 20, 24, 5)
    torch.testing.assert_close(one, all_, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.sum(0), torch.ones(20, 24, 5))


@pytest.mark.parametrize("axis", [0, 1])
def test_axes_are_alike(segmenter: Segmenter, axis: int) -> None:
    """A volume whose axis was moved is answered moved."""
    volume = torch.rand(20, 24, 4) * 255
    found = segment_slices(segmenter.probabilities, volume, Slicing(2))
    moved = segment_slices(segmenter.probabilities, volume.movedim(2, axis), Slicing(axis))
    torch.testing.assert_close(moved, found.movedim(3, 1 + axis))


@pytest.mark.parametrize("shape", [(4, 5), (1, 2, 3, 4, 5), (4, 0, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...], unchecked: None) -> None:
    """The message names the shapes that are volumes."""
    with pytest.raises(InputError, match=r"allowed are \(X, Y, Z\)"):
        segment_slices(bright, torch.zeros(shape), Slicing(0))


def test_what_is_no_slicing_is_refused() -> None:
    """Axes are three, offsets one or more, and a batch holds a slice."""
    for axis, offsets in ((3, NEIGHBOURS), (-1, NEIGHBOURS), (0, ())):
        with pytest.raises(InputError, match="the axes 0, 1 and 2"):
            Slicing(axis, offsets)
    with pytest.raises(InputError, match="give 1 or more"):
        segment_slices(bright, torch.zeros(2, 2, 2), Slicing(0), batch=0)
