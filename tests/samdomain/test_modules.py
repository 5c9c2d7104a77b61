import pytest
import torch
from torch import Tensor, nn

from samdomain.errors import InputError
from samdomain.modules import convolution_with, freeze, grown, match, swap


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


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def test_a_grown_module_shares_its_parts_and_not_what_is_added() -> None:
    """Parameters are the same objects; a new one is not added to the old module."""
    plain = nn.Linear(2, 3)
    new = grown(plain, Doubled)
    assert new.weight is plain.weight
    new.gain = nn.Parameter(torch.ones(1))
    assert list(new.state_dict()) == ["weight", "bias", "gain"]
    assert list(plain.state_dict()) == ["weight", "bias"]
    assert torch.equal(new(torch.ones(1, 2)), 2 * plain(torch.ones(1, 2)))


def test_a_module_grows_into_its_own_kind_only() -> None:
    """A class that knows nothing of the module's could compute something else."""
    with pytest.raises(InputError, match="a Doubled cannot stand for a Conv2d"):
        grown(nn.Conv2d(1, 1, 1), Doubled)


def test_a_convolution_takes_another_weight() -> None:
    """Settings and bias stay, the number of incoming channels follows the weight."""
    like = nn.Conv2d(4, 2, 3, stride=2, padding=1, groups=2, padding_mode="reflect")
    new = convolution_with(like, torch.ones(2, 3, 3, 3))
    assert new.in_channels == 6
    assert new.bias is like.bias
    assert repr(new).replace("(6,", "(4,") == repr(like)
