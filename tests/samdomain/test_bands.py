from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samdomain import SamSpec, add_bands, encode, load_sam
from samdomain.bands import BandConv2d, Bands
from samdomain.errors import InjectionError, InputError
from samdomain.injection import Injection, injections, merge
from samdomain.modules import match
from samdomain.sam import Sam
from samdomain.testing import check_sam


@pytest.fixture
def pixels() -> Tensor:
    """Five bands from 0 to 255, of an image that is padded."""
    return torch.rand(5, 40, 64) * 255


def mix(sam: Sam) -> None:
    """Let every band count."""
    (stem,) = match(sam, ["*"], BandConv2d).values()
    nn.init.normal_(stem.bands)


def test_bands_keep_to_the_contract(
    sam: Sam, check_contract: Callable[[Sam, Injection], None]
) -> None:
    """Added bands are silent at first, their mixture trains alone, and lowers a loss."""
    check_contract(sam, Bands(5))


def test_bands_stand_in_any_order(sam: Sam, pixels: Tensor) -> None:
    """The base's bands are found where `rgb` says, and nothing else counts at the start."""
    rgb = (3, 0, 2)
    with torch.no_grad():
        before = encode(sam, pixels[list(rgb)]).main
        add_bands(sam, 5, rgb)
        assert torch.equal(encode(sam, pixels).main, before)
        pixels[[1, 4]] *= 50
        assert torch.equal(encode(sam, pixels).main, before)


def test_a_mixture_has_one_value_for_each_band_and_channel(sam: Sam) -> None:
    """Three channels of five bands are 15 values, the identity at the start."""
    (key,) = add_bands(sam, 5, (3, 0, 2)).added
    bands = sam.state_dict()[key]
    assert bands.tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]]


def test_the_model_keeps_the_contract_of_a_sam(sam: Sam) -> None:
    """With more bands it is a SAM like any other."""
    add_bands(sam, 5)
    check_sam(sam)


def test_the_spec_states_the_bands() -> None:
    """Known bands keep their statistics, added ones have those that were given."""
    sam = load_sam("tiny")
    Bands(5, (4, 2, 0), added_mean=(10.0, 20.0), added_std=(1.0, 2.0))(sam)
    assert sam.spec.input_channels == 5
    assert sam.spec.pixel_mean == (103.53, 10, 116.28, 20, 123.675)
    assert sam.spec.pixel_std == (57.375, 1, 57.12, 2, 58.395)
    assert SamSpec.from_json(sam.spec.to_json()) == sam.spec


def test_added_bands_have_the_mean_statistics_by_default() -> None:
    """By hand: (123.675 + 116.28 + 103.53) / 3 = 114.495."""
    sam = load_sam("tiny")
    add_bands(sam, 4)
    assert sam.spec.pixel_mean[3] == pytest.approx(114.495)


def test_an_added_band_is_scaled_by_its_own_range() -> None:
    """Where values are scaled by minimum and maximum, heights leave the colours alone."""
    sam = load_sam("tiny")
    sam.spec = replace(sam.spec, scaling="minmax", pixel_mean=(0.0,) * 3, pixel_std=(1.0,) * 3)
    pixels = torch.rand(4, 64, 64)
    pixels[3] = 1000 + 500 * pixels[3]
    before = encode(sam, pixels[:3]).main
    add_bands(sam, 4)
    assert sam.spec.range_channels == (0, 1, 2)
    assert torch.equal(encode(sam, pixels).main, before)


def test_a_merge_folds_the_mixture_into_the_first_convolution(sam: Sam, pixels: Tensor) -> None:
    """Merged equals unmerged, padded borders included; the model still takes all bands."""
    keys = list(sam.state_dict())
    add_bands(sam, 5)
    mix(sam)
    with torch.no_grad():
        adapted = encode(sam, pixels).main
        merged = encode(merge(sam), pixels).main
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-4)
    assert sam.spec.input_channels == 5
    assert list(sam.state_dict()) == keys


def test_the_folded_weight_can_be_checked_by_hand() -> None:
    """One channel of 2 a + 3 b under a weight of 5 is a convolution with 10 and 15."""
    sam = load_sam("tiny")
    (name,) = add_bands(sam, 5).modules
    stem = sam.get_submodule(name)
    with torch.no_grad():
        stem.bands.zero_()
        stem.bands[0, 1], stem.bands[0, 4] = 2, 3
        stem.weight.fill_(5)
    assert stem.merged().weight[0, :, 0, 0].tolist() == [0, 10, 0, 0, 15]


def test_images_of_the_old_bands_are_refused_afterwards() -> None:
    """The message says how many bands are due."""
    sam = load_sam("tiny")
    add_bands(sam, 5)
    with pytest.raises(InputError, match=r"takes \(5, H, W\)"):
        encode(sam, torch.rand(3, 64, 64))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"in_channels": 2}, "counted from 0 to 1"),
        ({"rgb": (0, 0, 1)}, "give different bands"),
        ({"rgb": (0, 1, 4)}, "counted from 0 to 3"),
        ({"added_mean": (1.0, 2.0)}, r"added_mean has 2 values for the 1 bands \(3,\)"),
        ({"added_std": (0.0,)}, "give deviations above 0"),
    ],
)
def test_bands_that_contradict_one_another_are_refused(wrong: dict[str, Any], message: str) -> None:
    """Each with what is allowed."""
    with pytest.raises(InjectionError, match=message):
        Bands(**wrong)


def test_a_base_of_other_channels_is_refused() -> None:
    """Each of the base's channels needs its band; the model is as it was."""
    sam = load_sam("tiny")
    with pytest.raises(InjectionError, match="rgb names 1 bands, but 'tiny' takes 3 channels"):
        Bands(4, (0,))(sam)
    assert injections(sam) == ()
    assert sam.spec.input_channels == 3


def test_bands_are_added_once_or_again_after_a_merge() -> None:
    """A merged model of four bands can be given two more."""
    sam = load_sam("tiny")
    add_bands(sam, 4)
    with pytest.raises(InjectionError, match="rgb names 3 bands, but 'tiny' takes 4"):
        add_bands(sam, 4)
    with pytest.raises(InjectionError, match="holds a BandConv2d already"):
        add_bands(sam, 6, (0, 1, 2, 3))
    add_bands(merge(sam), 6, (0, 1, 2, 3))
    assert sam.spec.input_channels == 6
