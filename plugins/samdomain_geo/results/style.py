"""Style polygons for QGIS: a file beside them, or a table inside a GeoPackage."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from samdomain_geo.results.colours import DOUBT, OUTLINE, colour_of

# More classes than a legend can show are ids rather than classes.
_MOST_CLASSES = 32

_CLASS_COLUMNS = ("class_id", "class_name")

# As OGR writes the table for QGIS, which looks it up by these names.
_TABLE = """
CREATE TABLE "layer_styles" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "f_table_catalog" TEXT(256), "f_table_schema" TEXT(256), "f_table_name" TEXT(256),
    "f_geometry_column" TEXT(256), "styleName" TEXT(30), "styleQML" TEXT, "styleSLD" TEXT,
    "useAsDefault" BOOLEAN, "description" TEXT, "owner" TEXT(30), "ui" TEXT(30),
    "update_time" DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)
"""
# Left out of the contents, or there as another kind, the table would be no layer to OGR, and QGIS
# looks it up as a layer.
_REGISTER = """
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)
VALUES ('layer_styles', 'attributes', 'layer_styles', '', 0)
"""
_INSERT = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column,
    styleName, styleQML, styleSLD, useAsDefault, description, owner, ui, update_time)
VALUES ('', '', ?, ?, ?, ?, '', 1, 'written by samdomain', '', NULL, ?)
"""


@dataclass(frozen=True)
class Rule:
    """One kind of rows and how their outline is drawn.

    Attributes:
        label: words in the legend.
        colour: red, green and blue, 0 to 255.
        expression: condition of QGIS that the rows meet; all rows without.
        dashed: the outline is dashed.
    """

    label: str
    colour: tuple[int, int, int]
    expression: str | None = None
    dashed: bool = False


def style_of(table: pd.DataFrame) -> str:
    """Return a QGIS style (QML) that suits the columns of a table of polygons.

    Outlines are thin and not filled, coloured by class where the table has classes, else
    yellow. Rows with `flags` are dashed in red. More than 32 classes are taken for ids.

    Args:
        table: rows with any of the columns class_id, class_name and flags.
    """
    return qml_of(_rules(table))


def qml_of(rules: Sequence[Rule]) -> str:
    """Return a QGIS style (QML) that draws the outlines of polygons by rules, not filled."""
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="RuleRenderer", symbollevels="0", forceraster="0"
    )
    branch = ElementTree.SubElement(renderer, "rules", key="all")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, rule in enumerate(rules):
        _add_rule(branch, symbols, number, rule)
    ElementTree.SubElement(root, "layerGeometryType").text = "2"  # polygons, as QGIS counts
    ElementTree.indent(root)
    return f"<!DOCTYPE qgis>\n{ElementTree.tostring(root, encoding='unicode')}\n"


def embed_style(path: Path, layer: str, qml: str, when: datetime) -> None:
    """Store a style in a GeoPackage so that QGIS opens the layer with it.

    Args:
        path: finished GeoPackage without styles.
        layer: layer that the style belongs to.
        qml: the style.
        when: time that the file carries as that of its last change, so that the same content
            and time make the same bytes.
    """
    stamp = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with closing(sqlite3.connect(path)) as database, database:
        (geometry,) = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        database.execute(_TABLE)
        database.execute(_REGISTER)
        database.execute(_INSERT, (layer, geometry, layer, qml, stamp))
        database.execute("UPDATE gpkg_contents SET last_change = ?", (stamp,))


def _rules(table: pd.DataFrame) -> list[Rule]:
    # QGIS draws a row by each rule that holds, in their order: the dashes of a flag lie on top.
    marks = [Rule("flagged", DOUBT, "\"flags\" <> ''", dashed=True)] if "flags" in table else []
    others = [Rule("object", OUTLINE, "ELSE" if marks else None)]
    return (_class_rules(table) or others) + marks


def _class_rules(table: pd.DataFrame) -> list[Rule]:
    """Return one rule a class and one for rows without; none where no legend can show them."""
    present = [name for name in _CLASS_COLUMNS if name in table]
    filled = [name for name in present if not bool(table[name].isna().all())]
    if not filled:
        return []
    column, label = filled[0], filled[-1]
    classes = table.loc[table[column].notna(), filled].drop_duplicates(column)
    classes[label] = classes[label].fillna(classes[column].astype(str))
    if len(classes) > _MOST_CLASSES:
        return []
    ordered = classes.sort_values(column)
    pairs = zip(ordered[column].tolist(), ordered[label].astype(str).tolist(), strict=True)
    rules = [
        Rule(name, colour_of(_number(value, place)), f'"{column}" = {_literal(value)}')
        for place, (value, name) in enumerate(pairs, start=1)
    ]
    if bool(table[column].isna().any()):
        rules.append(Rule("no class", OUTLINE, f'"{column}" IS NULL'))
    return rules


def _number(value: str | float, place: int) -> int:
    return place if isinstance(value, str) else int(value)


def _literal(value: str | float) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        return f"'{escaped}'"
    return str(value)


def _add_rule(
    branch: ElementTree.Element, symbols: ElementTree.Element, number: int, rule: Rule
) -> None:
    given = {"key": f"rule{number}", "label": rule.label, "symbol": str(number)}
    if rule.expression:
        given["filter"] = rule.expression
    ElementTree.SubElement(branch, "rule", given)
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1"
    )
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0", "locked": "0"}
    )
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for name, value in _outline_options(rule):
        ElementTree.SubElement(options, "Option", type="QString", name=name, value=value)


def _outline_options(rule: Rule) -> Sequence[tuple[str, str]]:
    red, green, blue = rule.colour
    return (
        ("style", "no"),  # no fill: the image stays visible, and a click inside still selects
        ("color", f"{red},{green},{blue},0"),
        ("outline_color", f"{red},{green},{blue},255"),
        ("outline_style", "dash" if rule.dashed else "solid"),
        ("outline_width", "0.4"),
        ("outline_width_unit", "MM"),
        ("joinstyle", "miter"),
    )
