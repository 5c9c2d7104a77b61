from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from samdomain.errors import InputError
from samdomain.json_values import check_values


@dataclass
class Stated:
    whole: int
    number: float
    text: str
    switch: bool
    choice: Literal["a", "b"]
    maybe: int | None
    names: tuple[str, ...]
    kinds: frozenset[Literal["a", "b"]]
    counts: Mapping[str, int]
    anything: Mapping[str, Any]
    kind: type[int]


RIGHT: dict[str, Any] = {
    "whole": 1,
    "number": 1,
    "text": "x",
    "switch": True,
    "choice": "a",
    "maybe": None,
    "names": ["x"],
    "kinds": ["b"],
    "counts": {"x": 1},
    "anything": {"x": [None, "y"]},
    "kind": bool,
}


def test_values_as_json_has_them_fit() -> None:
    """Lists stand for sequences and sets; names and types that JSON lacks are left alone."""
    check_values(Stated, RIGHT | {"other": object()})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("whole", 1.5),
        ("whole", True),
        ("number", "1"),
        ("text", None),
        ("switch", 1),
        ("choice", "c"),
        ("choice", []),
        ("maybe", "x"),
        ("names", "x"),
        ("names", [1]),
        ("names", {"x": 1}),
        ("kinds", ["c"]),
        ("counts", {"x": "y"}),
        ("counts", []),
        ("anything", None),
    ],
)
def test_values_of_another_type_are_refused(name: str, wrong: object) -> None:
    """The field is named."""
    with pytest.raises(InputError, match=f"{name} is .*, expected is"):
        check_values(Stated, RIGHT | {name: wrong})
