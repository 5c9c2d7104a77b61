import pytest
from torch import nn

from samdomain.errors import InputError
from samdomain.modules import freeze, match, swap


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3), nn.ReLU()))


def test_match_finds_by_name_and_kind(model: nn.Module) -> None:
    """Only modules of the kind are matched, in the model's order."""
    assert list(match(model, ["*"], nn.Linear)) == ["0", "1.0"]
    assert list(match(model, ["1.*"], nn.Linear)) == ["1.0"]


def test_swap_replaces_in_place(model: nn.Module) -> None:
    """The new module stands where the old one stood."""
    swap(model, "1.1", nn.GELU())
    assert isinstance(model[1][1], nn.GELU)


def test_freeze_tells_what_it_touched(model: nn.Module) -> None:
    """Matched parameters stop training, and train again on request."""
    assert freeze(model, ["*.bias"]) == ["0.bias", "1.0.bias"]
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, False]
    freeze(model, ["0.*"], frozen=False)
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, False]


def test_nothing_matched_is_an_error(model: nn.Module) -> None:
    """A pattern that matches nothing is named, one good pattern beside it or not."""
    with pytest.raises(InputError, match=r"'nope\*' matches no Linear"):
        match(model, ["0", "nope*"], nn.Linear)
    with pytest.raises(InputError, match="matches no parameter"):
        freeze(model, ["nope"])
    with pytest.raises(InputError, match="matches no module"):
        swap(model, "1.7", nn.ReLU())
