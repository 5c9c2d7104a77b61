import pytest
import torch
from torch import Tensor

from samdomain.errors import InputError
from samdomain_med.components import drop_small, keep_largest, label_components


def blobs() -> Tensor:
    """Bars of 2, 5 and 3 voxels; the last touches the second by an edge alone."""
    mask = torch.zeros(6, 6, 6, dtype=torch.bool)
    mask[0, 0, :2] = True
    mask[2, 2, :5] = True
    mask[3, 3, 2:5] = True
    return mask


def test_labels_go_from_the_largest_on() -> None:
    """Voxels hang together by faces."""
    labels = label_components(blobs())
    assert labels[2, 2, 0] == 1
    assert labels[3, 3, 2] == 2
    assert labels[0, 0, 0] == 3
    assert torch.equal(labels > 0, blobs())


def test_each_class_is_taken_apart_by_itself() -> None:
    """Planes of classes keep their shape, and one does not number the other."""
    planes = torch.stack([blobs(), torch.zeros_like(blobs()), blobs().flip(0)])
    labels = label_components(planes)
    assert labels.flatten(1).amax(1).tolist() == [3, 0, 3]
    assert torch.equal(keep_largest(planes)[0], keep_largest(blobs()))


def test_the_largest_stays() -> None:
    """An empty mask stays empty."""
    expected = torch.zeros_like(blobs())
    expected[2, 2, :5] = True
    assert torch.equal(keep_largest(blobs()), expected)
    assert not keep_largest(torch.zeros_like(expected)).any()


def test_small_ones_are_left_out() -> None:
    """As voxels, or as mm³ where a spacing is told; what is just large enough stays."""
    assert drop_small(blobs(), 3).sum() == 8
    assert drop_small(blobs(), 3 * 0.1 * 0.3 * 0.7, (0.1, 0.3, 0.7)).sum() == 8
    assert drop_small(blobs(), 6).sum() == 0
    assert torch.equal(drop_small(blobs(), 0), blobs())


def test_impossible_sizes_are_refused() -> None:
    """A volume below 0 or a voxel without a side has no meaning."""
    for smallest, spacing in ((-1.0, (1.0, 1.0, 1.0)), (1.0, (1.0, 0.0, 1.0))):
        with pytest.raises(InputError, match="sides above 0"):
            drop_small(blobs(), smallest, spacing)
