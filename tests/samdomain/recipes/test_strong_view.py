import pytest
import torch

from samdomain.errors import InputError
from samdomain.recipes import StrongView
from samdomain.recipes.strong_view import _equalised

ALWAYS = StrongView(chance=1.0)


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(5))
def test_every_pixel_stays_where_it_is(seed: int) -> None:
    """A marker pixel differs from a plain ground at its own place, and within one pixel of it."""
    plain = torch.full((3, 16, 20), 0.4)
    marked = plain.clone()
    marked[:, 5, 7] = 0.9
    changed = (ALWAYS(marked, chance(seed)) - ALWAYS(plain, chance(seed))).abs().sum(0)
    light = StrongView(chance=1.0, sharpening=0.0, solarised=1.0)
    moved = light(marked, chance(seed)).sum(0) - light(plain, chance(seed)).sum(0)
    assert changed.shape == (16, 20)
    assert moved.argmax() == 5 * 20 + 7


def test_the_same_chance_is_the_same_view() -> None:
    """Another seed is another view; without chance nothing changes."""
    image = torch.rand(3, 16, 16)
    strong = StrongView()
    assert torch.equal(strong(image, chance(3)), strong(image, chance(3)))
    views = [strong(image, chance(seed)) for seed in range(6)]
    assert len({tuple(view.flatten().tolist()) for view in views}) > 3
    assert torch.equal(StrongView(chance=0.0)(image, chance(0)), image)


def test_values_stay_between_black_and_white() -> None:
    """Whatever is changed, 0 to 1 is kept, for any number of channels."""
    for seed in range(8):
        view = ALWAYS(torch.rand(5, 9, 12), chance(seed))
        assert view.shape == (5, 9, 12)
        assert 0 <= float(view.min()) <= float(view.max()) <= 1


def test_equalised_values_are_equally_frequent() -> None:
    """Three values that are crowded are spread by how many pixels they have; a plain one stays."""
    channel = torch.tensor([[0.50, 0.50, 0.51, 0.52]])
    spread = _equalised(torch.stack([channel, torch.full_like(channel, 0.3)]), [])
    torch.testing.assert_close(spread[0], torch.tensor([[0, 0, 0.5, 1]]))
    torch.testing.assert_close(spread[1], torch.full_like(channel, 0.3))


def test_wrong_values_are_refused() -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match="0 to 1"):
        StrongView(chance=2.0)
    with pytest.raises(InputError, match="1 or more"):
        StrongView(bits=0)
