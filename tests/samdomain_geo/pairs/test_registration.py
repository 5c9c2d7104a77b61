from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from samdomain_geo.pairs.pair import PairSource, Seen
from samdomain_geo.pairs.registration import Shift, estimate_shift

Write = Callable[..., Path]


def as_stored(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    return seen.before, seen.after


def texture(seed: int = 0) -> np.ndarray:
    """Blobs of some pixels, 300 x 420."""
    noise = np.random.default_rng(seed).normal(0, 1, (300, 420))
    return gaussian_filter(noise, 2.0) * 400 + 120


@pytest.fixture
def estimate(write_scene: Write) -> Callable[[np.ndarray, np.ndarray], Shift]:
    """Estimate between two images of one band."""

    def run(before: np.ndarray, after: np.ndarray) -> Shift:
        files = [
            str(write_scene(one[None].astype(np.float32), f"{name}.tif"))
            for name, one in (("before", before), ("after", after))
        ]
        with PairSource(*files).open() as pair:
            return estimate_shift(pair, as_stored)

    return run


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.4, -0.7), (-3.25, 5.5)])
def test_a_known_shift_is_found(estimate: Callable[..., Shift], moved: tuple) -> None:
    """To a tenth of a pixel; rows and columns are told apart."""
    columns, rows = moved
    found = estimate(texture(), shift(texture(), (rows, columns), order=3, mode="nearest"))
    assert (found.columns, found.rows) == pytest.approx((columns, rows), abs=0.1)
    assert found.length == pytest.approx(np.hypot(*moved), abs=0.15)


def test_another_season_and_new_ground_do_not_mislead(estimate: Callable[..., Shift]) -> None:
    """Dark and bright change sides, a third of the scene is another one: the shift is the same."""
    after = 240 - np.roll(texture(), (2, -1), axis=(0, 1)) * 0.6
    after[:, 280:] = texture(seed=1)[:, 280:]
    found = estimate(texture(), after)
    assert (found.columns, found.rows) == pytest.approx((-1, 2), abs=0.15)


def test_dates_without_a_likeness_tell_nothing(estimate: Callable[..., Shift]) -> None:
    """Two unrelated images, and two without structure, have no shift."""
    assert not estimate(texture(), texture(seed=1)).known
    flat = np.full((300, 420), 7.0)
    found = estimate(flat, flat)
    assert not found.known
    assert found.vector == (0.0, 0.0)
