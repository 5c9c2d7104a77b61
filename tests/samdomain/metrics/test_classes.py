import pytest

from samdomain.metrics import class_figures


def test_by_hand() -> None:
    """A class that nobody labelled counts in one mean, one that is nowhere in neither."""
    counts = {
        "ground": (0.7, 0.7, 0.6),
        "water": (0.3, 0.2, 0.1),
        "unlabelled": (0, 0.1, 0),
        "nowhere": (0, 0, 0),
    }
    assert class_figures(counts) == pytest.approx(
        {
            "pooled_miou": 1 / 3,
            "pooled_miou_true": 0.5,
            "pooled_iou_ground": 0.75,
            "pooled_iou_water": 0.25,
            "pooled_iou_unlabelled": 0,
        }
    )


def test_nothing_is_right() -> None:
    """Where there is nothing to be wrong about, means are 1."""
    assert class_figures({"ground": (0, 0, 0)}) == {"pooled_miou": 1, "pooled_miou_true": 1}
