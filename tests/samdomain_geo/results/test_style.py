from xml.etree import ElementTree

import pandas as pd
import pytest

from samdomain_geo.results.style import style_of


def rules(table: pd.DataFrame) -> list[tuple[str | None, str | None]]:
    renderer = ElementTree.fromstring(style_of(table)).find("renderer-v2")
    symbols = {symbol.get("name") for symbol in renderer.iter("symbol")}
    found = list(renderer.iter("rule"))
    assert {rule.get("symbol") for rule in found} == symbols
    return [(rule.get("label"), rule.get("filter")) for rule in found]


def test_rows_without_classes_have_one_symbol() -> None:
    """Ids alone are no classes: one rule draws all."""
    assert rules(pd.DataFrame({"id": [1, 2], "class_id": [None, None]})) == [("object", None)]


def test_flagged_rows_are_drawn_apart() -> None:
    """Rows with a flag have their own rule, and are left out of the plain one."""
    expected = [("object", "ELSE"), ("flagged", "\"flags\" <> ''")]
    assert rules(pd.DataFrame({"flags": ["", "clipped"]})) == expected


def test_each_class_has_its_rule() -> None:
    """Classes are named where they have names; rows without a class are drawn too."""
    classes = pd.array([3, 1, None, 3], dtype="Int64")
    table = pd.DataFrame({"class_id": classes, "class_name": ["roof", None, None, "roof"]})
    assert rules(table) == [
        ("1", '"class_id" = 1'),
        ("roof", '"class_id" = 3'),
        ("no class", '"class_id" IS NULL'),
    ]


def test_names_are_quoted() -> None:
    """Quotes, ampersands and brackets in a class name break neither expression nor XML."""
    assert rules(pd.DataFrame({"class_name": ["<b> & 'c'"]})) == [
        ("<b> & 'c'", "\"class_name\" = '<b> & ''c'''")
    ]


@pytest.mark.parametrize(("count", "expected"), [(32, 32), (33, 1)])
def test_many_classes_are_ids(count: int, expected: int) -> None:
    """A legend of more than 32 lines helps nobody."""
    assert len(rules(pd.DataFrame({"class_id": range(count)}))) == expected
