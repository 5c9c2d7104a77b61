"""The table of the epochs is written and read back, and drawn."""

from pathlib import Path

import pytest
from PIL import Image

from samdomain.training.curves import draw_curves
from samdomain.training.epoch_log import read_csv, to_csv

ROWS = [
    {"stage": 1, "epoch": 0, "train/loss": 2.0, "val/iou": 0.1},
    {"stage": 1, "epoch": 1, "train/loss": 1.0, "val/iou": 0.2},
    {"stage": 2, "epoch": 0, "train/loss": 0.5, "val/iou": 0.4, "train/rounds": 0.3},
]


def test_rows_of_different_columns_come_back(tmp_path: Path) -> None:
    """A column that a stage has not is empty in its rows, and left out when they are read."""
    table = tmp_path / "log.csv"
    table.write_text(to_csv(ROWS))
    assert table.read_text().splitlines()[0] == "stage,epoch,train/loss,val/iou,train/rounds"
    assert read_csv(table) == ROWS


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [{"stage": 1, "epoch": 0}]])
def test_curves_are_drawn_however_few_the_epochs(
    tmp_path: Path, rows: list[dict[str, float]]
) -> None:
    """Several stages, one epoch, and no figure at all make a picture, without a warning."""
    (tmp_path / "log.csv").write_text(to_csv(rows))
    draw_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size == (1080, 432)
        colours = {one[:3] for _, one in picture.convert("RGB").getcolors(1 << 20) or ()}
    drawn = any(max(colour) - min(colour) > 60 for colour in colours)
    assert drawn == any("/" in name for name in rows[0])
