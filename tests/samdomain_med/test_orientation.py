import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation as MonaiOrientation

from samdomain_med.orientation import Orientation

CODES = [
    "".join(code)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for code in itertools.product(*order)
]


@pytest.mark.parametrize("code", CODES)
def test_volumes_are_turned_as_monai_turns_them(code: str) -> None:
    """Each of the 48 ways to store a volume becomes the one, and comes back as it was."""
    ornt = nib.orientations.axcodes2ornt(tuple(code))
    affine = nib.orientations.inv_ornt_aff(ornt, (2, 3, 4))
    values = torch.arange(24.0).reshape(1, 2, 3, 4)
    theirs = MonaiOrientation("RAS", labels=None)(MetaTensor(values, torch.from_numpy(affine)))
    lying = Orientation.of(affine)
    turned = lying.turn(values)
    assert torch.equal(turned, theirs.as_tensor())
    assert torch.equal(lying.restore(turned), values)
    assert torch.equal(lying.turn(values[0]), turned[0])
    assert turned.shape[1:] == tuple(values.shape[1 + axis] for axis in lying.order)


def test_tilted_volumes_are_turned_to_the_nearest() -> None:
    """A few degrees and thick slices change nothing."""
    affine = np.array([[-0.9, 0.1, 0.2, 5], [0.1, -0.9, 0.3, 6], [0, 0.3, 4, 7], [0, 0, 0, 1.0]])
    assert Orientation.of(affine) == Orientation((0, 1, 2), (True, True, False))


def test_axes_stay_where_the_place_is_not_known() -> None:
    """Nothing is turned without an affine."""
    values = torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(Orientation.of(None).turn(values), values)
