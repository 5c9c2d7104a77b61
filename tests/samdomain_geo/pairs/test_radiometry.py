from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samdomain.errors import InputError
from samdomain_geo.pairs.pair import PairSource
from samdomain_geo.pairs.radiometry import Radiometry
from samdomain_geo.scenes.stretch import parse_stretch

Write = Callable[..., Path]


@pytest.fixture
def source(write_scene: Write) -> PairSource:
    """The later date is the earlier one, half as bright and 40 higher, with new bright roofs."""
    before = np.random.default_rng(0).integers(20, 180, (3, 90, 110)).astype(np.uint8)
    after = (before * 0.5 + 40).astype(np.uint8)
    after[:, :8, :] = 255
    files = write_scene(before, "before.tif"), write_scene(after, "after.tif")
    return PairSource(str(files[0]), str(files[1]))


@pytest.mark.parametrize(("match", "roof"), [("mean", 220), ("histogram", 160)])
def test_the_later_date_becomes_like_the_earlier_one(
    source: PairSource, match: str, roof: int
) -> None:
    """Off the new roofs the dates agree; a histogram has no room for brighter roofs than before."""
    with source.open() as pair:
        radiometry = Radiometry.measure(pair, parse_stretch(None), match)
        before, after = radiometry(pair.read(pair.overlap))
    apart = np.abs(after - before)[:, 8:]
    assert np.median(apart) < 15
    assert (after[:, :8] > roof).all()
    assert Radiometry.read(radiometry.told()) == radiometry


def test_dates_are_stretched_each_by_itself(write_scene: Write) -> None:
    """Bytes stay as they are, and other types go by their percentiles."""
    before = np.full((3, 60, 60), 77, np.uint8)
    after = np.random.default_rng(0).integers(500, 3000, (3, 60, 60)).astype(np.uint16)
    files = write_scene(before, "before.tif"), write_scene(after, "after.tif")
    with PairSource(str(files[0]), str(files[1])).open() as pair:
        one, other = Radiometry.measure(pair, parse_stretch(None), None)(pair.read(pair.overlap))
    assert (one == 77).all()
    assert (other.min(), other.max()) == (0, 255)


def test_other_words_are_refused(source: PairSource) -> None:
    """The words that are known are named."""
    with source.open() as pair, pytest.raises(InputError, match="mean or histogram"):
        Radiometry.measure(pair, parse_stretch(None), "median")
