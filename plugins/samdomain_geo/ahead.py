"""Read ahead in a thread of its own, so that reading and computing overlap."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

# Items that wait to be used at most: enough to hide one slow read, and bounded memory.
_DEPTH = 4


def read_ahead(items: Iterable[Item], depth: int = _DEPTH) -> Iterator[Item]:
    """Pass items on in their order, while a thread gets the next ones ready.

    All items are made by that one thread, so that a dataset which is read there is read by
    one thread only. An error comes out where its item would have.

    Args:
        items: lazy iterable whose items take time to make.
        depth: how many items are made in advance.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        waiting: list[Future[Item]] = [reader.submit(next, source) for _ in range(depth)]
        while True:
            try:
                item = waiting.pop(0).result()
            except StopIteration:
                return
            waiting.append(reader.submit(next, source))
            yield item
