import geopandas as gpd
import numpy as np
import pytest
import shapely

from samdomain.errors import InputError
from samdomain_geo.evaluation.object_comparison import ObjectRules, compare_objects
from samdomain_geo.evaluation.shape_layer import ShapeLayer
from samdomain_geo.evaluation.sides import Side

X, Y = 500_000, 30_000


def square(x: float, y: float = 0, side: float = 10) -> shapely.Polygon:
    return shapely.box(X + x, Y + y, X + x + side, Y + y + side)


def layer(shapes: list, crs: object = "EPSG:32636", **columns: list) -> ShapeLayer:
    rows = gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32636")
    rows = rows.set_crs(None, allow_override=True) if crs is None else rows.to_crs(crs)
    column = "class_id" if "class_id" in columns else None
    return ShapeLayer.of(Side("some.gpkg", vector=True), rows, column, points=False)


def test_a_scene_is_judged_by_hand() -> None:
    """Two found, one invented, one missed; each row knows its match, its IoU and its area."""
    ours = layer([square(0), square(101), square(300)], score=[0.9, 0.8, 0.7])
    found = compare_objects(ours, layer([square(100), square(0), square(200)]), ObjectRules())
    overall = found.overall
    assert (overall.objects.found, overall.objects.invented, overall.objects.missed) == (2, 1, 1)
    assert sorted(overall.objects.ious) == pytest.approx([90 / 110, 1])
    # Both true positives rank above the wrong one: 67 of the 101 recalls are reached.
    assert overall.ap50 == pytest.approx(67 / 101)
    assert found.beyond == 1
    table = found.table
    assert table["side"].tolist() == ["prediction"] * 3 + ["truth"] * 3
    assert table["verdict"].tolist() == ["TP", "TP", "FP", "TP", "TP", "FN"]
    assert table["match_fid"].fillna(-1).tolist() == [1, 0, -1, 1, 0, -1]
    assert table["iou"].tolist() == pytest.approx([1, 90 / 110, 0, 90 / 110, 1, 0])
    assert table["area_m2"].tolist() == pytest.approx([100] * 6, rel=1e-3)


def test_a_perfect_prediction_scores_one() -> None:
    """The truth itself, in another CRS, has every figure at 1."""
    shapes = [square(0), square(30, 40), square(100, 7, 3)]
    ours = layer(shapes, score=[0.3, 0.2, 0.1])
    found = compare_objects(ours, layer(shapes, "EPSG:3857"), ObjectRules(iou=0.99)).overall
    assert (found.objects.precision, found.objects.recall) == (1, 1)
    assert (found.ap50, found.ap, found.boundary.f1) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", None])
def test_the_crs_changes_nothing(crs: str | None) -> None:
    """Figures and lengths in metres are the same in any CRS, and without one."""
    rng = np.random.default_rng(0)
    ours = [square(*place) for place in rng.uniform(0, 100, (30, 2))]
    theirs = [square(*place) for place in rng.uniform(0, 100, (30, 2))]
    rules = ObjectRules(iou=0.3, tolerance=1.5)
    first = compare_objects(layer(ours), layer(theirs), rules).overall
    other = compare_objects(layer(ours, crs), layer(theirs, crs), rules).overall
    assert first.objects.found == other.objects.found > 0
    assert first.boundary.predicted == pytest.approx(other.boundary.predicted, rel=1e-3)
    assert first.boundary.f1 == pytest.approx(other.boundary.f1, rel=1e-2)


def test_without_scores_there_is_no_ap() -> None:
    """Average precision needs scores; one that is missing comes last."""
    pair = [square(0), square(50)]
    assert np.isnan(compare_objects(layer(pair), layer(pair), ObjectRules()).overall.ap50)
    some = layer([square(0), square(80)], score=[None, 0.1])
    assert compare_objects(some, layer(pair[:1]), ObjectRules()).overall.ap50 == 0.5


def test_classes_match_among_themselves() -> None:
    """By class, a find of the wrong class is invented and missed, and each class has figures."""
    ours = layer([square(0), square(50), square(100)], class_id=[1, 2, 2], score=[0.9, 0.7, 0.8])
    theirs = layer([square(0), square(50), square(100)], class_id=[1, 1, 2])
    blind = compare_objects(ours, theirs, ObjectRules())
    assert (blind.overall.objects.f1, blind.classes) == (1, {})
    found = compare_objects(ours, theirs, ObjectRules(by_class=True))
    counts = {
        label: (one.objects.found, one.objects.invented, one.objects.missed)
        for label, one in found.classes.items()
    }
    assert counts == {1: (1, 0, 1), 2: (1, 1, 0)}
    assert found.overall.objects.precision == pytest.approx(2 / 3)
    means = [one.ap50 for one in found.classes.values()]
    assert means == pytest.approx([51 / 101, 1])
    assert found.overall.ap50 == pytest.approx(np.mean(means))
    assert found.overall.boundary.precision == pytest.approx(2 / 3)


def test_a_class_of_one_side_only_has_figures() -> None:
    """A class that only the prediction has is all invented, and has no average precision."""
    ours = layer([square(0), square(50)], class_id=[1, 3], score=[0.9, 0.9])
    found = compare_objects(ours, layer([square(0)], class_id=[1]), ObjectRules(by_class=True))
    assert found.classes[3].objects.invented == 1
    assert np.isnan(found.classes[3].ap50)
    assert found.overall.ap50 == pytest.approx(1)


def test_empty_sides_are_no_error() -> None:
    """Nothing predicted misses all; no truth makes all invented; nothing at all is nothing."""
    none = layer([])
    one = layer([square(0)])
    assert compare_objects(none, one, ObjectRules()).overall.objects.missed == 1
    assert compare_objects(one, none, ObjectRules()).overall.objects.invented == 1
    assert len(compare_objects(none, none, ObjectRules()).table) == 0


def test_sides_that_cannot_meet_are_refused() -> None:
    """Far apart, or with a CRS on one side only, is an error."""
    with pytest.raises(InputError, match="do not overlap"):
        compare_objects(layer([square(0)]), layer([square(9999)]), ObjectRules())
    with pytest.raises(InputError, match="no CRS"):
        compare_objects(layer([square(0)], None), layer([square(0)]), ObjectRules())


@pytest.mark.parametrize("rules", [{"iou": 0}, {"iou": 1.1}, {"tolerance": 0}])
def test_rules_must_make_sense(rules: dict) -> None:
    """A threshold outside 0 to 1, or no tolerance, is an error."""
    with pytest.raises(InputError, match=f"--{next(iter(rules))} is"):
        ObjectRules(**rules)


def test_a_polygon_without_a_class_is_of_none() -> None:
    """By class it matches nobody, and is invented or missed among all."""
    ours = layer([square(0), square(50)], class_id=[1, None])
    theirs = layer([square(0), square(50)], class_id=[1, None])
    found = compare_objects(ours, theirs, ObjectRules(by_class=True))
    assert list(found.classes) == [1]
    assert (found.overall.objects.invented, found.overall.objects.missed) == (1, 1)
    assert found.table["class_id"].isna().sum() == 2
