import io

import geopandas as gpd
import matplotlib.image
import numpy as np
import pytest
import shapely
from rasterio.windows import Window

from samdomain.html_report import Picture
from samdomain_geo.engine.plan import Grid
from samdomain_geo.evaluation.cells import Cells, Sample
from samdomain_geo.evaluation.confusion import ConfusionMatrix
from samdomain_geo.evaluation.object_pictures import VERDICT_COLOURS, draw_objects
from samdomain_geo.evaluation.picture import Legend
from samdomain_geo.evaluation.raster_comparison import CLOSE_UP, Places
from samdomain_geo.evaluation.raster_pictures import draw_close_ups, draw_confusion, draw_overview

BLANK = Legend({}, {})


def image(picture: Picture) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(picture.png))[..., :3]


def amount_of(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    return int((np.abs(picture - np.array(colour) / 255).max(axis=2) < 0.02).sum())


class Held:
    def __init__(self, labels: np.ndarray, valid: np.ndarray) -> None:
        self.labels, self.valid = labels, valid

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        return self.labels[window.toslices()], self.valid[window.toslices()]


def places(true: Held, predicted: Held, side: int = 1) -> Places:
    rows, columns = true.labels.shape
    grid = Grid(rows, columns, None, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
    whole = Window(0, 0, columns, rows)
    counted = true.valid & predicted.valid
    wrong = counted & (true.labels != predicted.labels)
    cells, close = Cells.over(grid, side), Cells.over(grid, CLOSE_UP)
    for one in (cells, close):
        one.add(whole, wrong, counted)
    samples = []
    for source in (predicted, true):
        sample = Sample(grid, side)
        sample.add(whole, source.labels, source.valid)
        samples.append(sample)
    return Places(cells, close, *samples)


def sides(shape: tuple[int, int], truth: float = 1.0) -> tuple[Held, Held]:
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 3, shape)
    predicted = labels.copy()
    predicted[: shape[0] // 2, : shape[1] // 2] = 1
    return Held(labels, rng.random(shape) < truth), Held(predicted, np.ones(shape, bool))


@pytest.mark.parametrize("count", [1, 2, 16, 60, 300])
def test_any_number_of_classes_is_drawn(count: int) -> None:
    """A matrix of one class and of hundreds makes a picture of bounded size."""
    pixels = np.eye(count, dtype=np.int64)
    pixels[-1] = 0
    legend = Legend({0: "a class with a very long name " * 4}, {})
    drawn = image(draw_confusion(ConfusionMatrix(tuple(range(count)), pixels), legend))
    assert 100 < min(drawn.shape[:2]) <= max(drawn.shape[:2]) < 1300


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (300, 400)])
def test_any_shape_is_drawn(shape: tuple[int, int]) -> None:
    """A pixel and a strip make pictures of bounded size."""
    true, predicted = sides(shape)
    found = places(true, predicted)
    overview = image(draw_overview(found, shape, (1, 2), BLANK, None))
    assert max(overview.shape[:2]) < 1400
    close = draw_close_ups(found, (predicted, true), shape, BLANK, 0.5)
    assert (close is None) == (not found.cells.wrong.any())


def test_wrong_places_are_red() -> None:
    """What is wrong is drawn in the colour of the raster of errors, what is right in the other."""
    true, predicted = sides((300, 400))
    found = places(true, predicted)
    drawn = image(draw_overview(found, (300, 400), (1, 2), BLANK, None))
    right = image(draw_overview(places(true, true), (300, 400), (1, 2), BLANK, None))
    red = (208, 28, 39)
    assert amount_of(drawn, red) > 2 * amount_of(right, red) > 0


def test_lone_points_are_enlarged() -> None:
    """Where single pixels were compared, they are drawn large, and no close-up is made."""
    true, predicted = sides((512, 512), truth=2e-4)
    found = places(true, predicted)
    assert found.close.sparse
    drawn = image(draw_overview(found, (512, 512), (1, 2), BLANK, None))
    assert amount_of(drawn, (198, 219, 197)) > 5 * found.cells.counted.sum()
    assert draw_close_ups(found, (predicted, true), (512, 512), BLANK, None) is None


def table(count: int, crs: object = "EPSG:32636") -> gpd.GeoDataFrame:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40 * count**0.5, (count, 2)) + np.array([500_000, 30_000])
    verdicts = rng.choice(["TP", "FP", "FN"], count)
    shapes = [shapely.box(x, y, x + 10, y + 10) for x, y in corners]
    columns = {"verdict": verdicts, "side": np.where(verdicts == "FN", "truth", "prediction")}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


def test_verdicts_have_their_colours() -> None:
    """Found, invented and missed polygons are drawn in their own colours, and close up."""
    pictures = [image(one) for one in draw_objects(table(40))]
    assert len(pictures) == 2
    for drawn in pictures:
        for colour in VERDICT_COLOURS.values():
            assert amount_of(drawn, colour) > 30


def test_few_and_many_polygons_are_drawn() -> None:
    """Nothing has no picture, one polygon has one, and very many become dots."""
    assert draw_objects(table(40).iloc[:0]) == []
    for crs in ("EPSG:32636", None):
        assert len(draw_objects(table(1, crs))) >= 1
    dots = image(draw_objects(table(20_500))[0])
    assert amount_of(dots, VERDICT_COLOURS["TP"]) > 1000


def test_a_perfect_prediction_has_no_close_ups() -> None:
    """Where nothing is wrong there are no worst places."""
    assert len(draw_objects(table(9).assign(verdict="TP"))) == 1


def test_a_legend_knows_names_and_colours() -> None:
    """A file's own colours go before ours, and the background is pale."""
    legend = Legend({3: "water"}, {3: (0, 0, 255)})
    assert (legend.name(3), legend.name(4)) == ("3 water", "4")
    assert legend.colour(3) == (0, 0, 1)
    assert min(legend.colour(0)) > 0.85
    painted = legend.paint(np.array([[3, 0]]), np.array([[True, False]]))
    assert painted.tolist() == [[[0, 0, 1], [1, 1, 1]]]
