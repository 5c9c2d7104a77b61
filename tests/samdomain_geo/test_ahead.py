import threading
import time
from collections.abc import Iterator

import pytest

from samdomain_geo.ahead import read_ahead


def test_items_come_in_their_order() -> None:
    """Nothing is lost, doubled or turned around."""
    assert list(read_ahead(range(20))) == list(range(20))
    assert list(read_ahead([])) == []


def test_reading_and_computing_overlap() -> None:
    """While an item is used, the next ones are made, in one other thread."""
    threads: set[str] = set()

    def slow() -> Iterator[int]:
        for i in range(6):
            threads.add(threading.current_thread().name)
            time.sleep(0.05)
            yield i

    start = time.perf_counter()
    for _ in read_ahead(slow()):
        time.sleep(0.05)
    assert time.perf_counter() - start < 6 * 0.1 - 0.1
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


def test_no_more_than_the_depth_is_made_in_advance() -> None:
    """Memory is bounded: three items wait at most beside the one in use."""
    made: list[int] = []
    ahead = read_ahead((made.append(i) or i for i in range(100)), depth=3)
    next(ahead)
    time.sleep(0.1)
    assert len(made) <= 1 + 3
    ahead.close()


def test_an_error_comes_out_where_its_item_would() -> None:
    """Items before the error are delivered; the error is the caller's to see."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    ahead = read_ahead(failing())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)
