import pytest
import torch

from samdomain.errors import InputError
from samdomain.training.objects import Classes, Components, Ids, Whole

VALUES = torch.tensor([[1, 1, 0, 2], [0, 0, 0, 2], [1, 0, 255, 255]])


def test_whole_is_one_mask() -> None:
    """All that is not zero is one object; ignored values are none."""
    assert Whole(ignore=(255,))(VALUES).tolist() == [
        [[True, True, False, True], [False, False, False, True], [True, False, False, False]]
    ]


def test_an_empty_mask_has_no_object() -> None:
    """No kind makes an object of an empty mask."""
    for objects in (Whole(), Components(), Ids()):
        assert objects(torch.zeros(3, 4, dtype=torch.long)).shape == (0, 3, 4)


def test_components_hang_together_by_edges() -> None:
    """The parts are counted, and specks below the smallest size are left out."""
    assert Components(ignore=(255,))(VALUES).sum(dim=(1, 2)).tolist() == [2, 2, 1]
    assert len(Components(smallest=2, ignore=(255,))(VALUES)) == 2


def test_ids_may_have_parts() -> None:
    """One value is one object, wherever its pixels are."""
    assert Ids(ignore=(255,))(VALUES).sum(dim=(1, 2)).tolist() == [3, 2]


def test_values_become_classes() -> None:
    """In the order that they are given in; 255 and ignored values are unlabelled."""
    values = torch.tensor([[10, 20, 255], [30, 7, 10]])
    assert Classes((30, 10, 20), ignore=(7,))(values).tolist() == [[1, 2, 255], [0, 255, 1]]
    assert Classes()(torch.tensor([[0, 3], [255, 1]])).tolist() == [[0, 3], [255, 1]]


def test_a_value_that_is_no_class_is_refused() -> None:
    """The message lists what is allowed."""
    with pytest.raises(InputError, match=r"holds 4, .*\[1, 2\]"):
        Classes((1, 2))(torch.tensor([[1, 4]]))
