import pickle

import numpy as np
import pytest
import torch

from samdomain_geo.changes.latent import (
    LatentNetwork,
    LatentSource,
    Matching,
    distances,
    robust_threshold,
)


def test_rare_large_values_are_parted_from_the_bulk() -> None:
    """Two in a hundred around 0.8 above a bulk around 0.2: the threshold lies between."""
    chance = np.random.default_rng(0)
    bulk, few = chance.normal(0.2, 0.05, 9800), chance.normal(0.8, 0.05, 200)
    threshold, deviation = robust_threshold(np.concatenate([bulk, few]))
    assert 0.35 < threshold < 0.7
    assert deviation == pytest.approx(0.05, rel=0.1)


def test_where_nothing_changed_the_bulk_stays_whole() -> None:
    """Of one heap, less than three in a hundred are called changes."""
    values = np.random.default_rng(1).normal(0.2, 0.05, 10_000)
    threshold, _ = robust_threshold(values)
    assert (values >= threshold).mean() < 0.03


def test_equal_values_have_a_threshold() -> None:
    """Nothing is divided by nothing."""
    threshold, deviation = robust_threshold(np.zeros(100))
    assert threshold > 0
    assert deviation > 0


def unit(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape), dim=1)


def test_what_all_cells_share_is_no_change() -> None:
    """Features that moved alike are at distance 0 once the drift is taken back."""
    before, drift = unit(1, 6, 5, 7), torch.randn(6)
    after = before + drift[:, None, None]
    assert distances(before, after, drift).abs().max() < 1e-5
    assert distances(before, after, torch.zeros(6)).max() > 0.1


def test_a_shift_of_one_cell_is_no_change() -> None:
    """Inside of the map; both dates may be the earlier one."""
    wide = unit(1, 6, 8, 9)
    before, after = wide[..., :-1], wide[..., 1:]
    away = distances(before, after, torch.zeros(6))
    assert away[..., 1:-1].abs().max() < 1e-5
    torch.testing.assert_close(away, distances(after, before, torch.zeros(6)))


def test_the_network_travels_as_what_it_is_loaded_from() -> None:
    """A pickle of the source is small, and loads the same network."""
    matching = Matching((0.0,) * 4, 0.5, 0.1, 3)
    source = LatentSource("tiny", "f32", 64, matching)
    vars(source)["_network"] = object()
    sent = pickle.dumps(source)
    assert len(sent) < 1000
    assert pickle.loads(sent) == source
    assert "_network" not in vars(pickle.loads(sent))
    assert isinstance(pickle.loads(sent)(), LatentNetwork)


def test_what_was_measured_goes_through_json() -> None:
    """It comes back as it was."""
    matching = Matching((0.25, -0.5), 0.5, 0.1, 3)
    assert Matching.read(matching.to_json()) == matching
    assert "drift" not in matching.told()
