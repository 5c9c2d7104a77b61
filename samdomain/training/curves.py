"""Draw what the table of a training says."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from samdomain.training.epoch_log import read_csv
from samdomain.training.publishing import published

_TRAIN, _VAL = "train/", "val/"


def draw_curves(table: Path, path: Path) -> None:
    """Draw losses and figures of validation over the epochs, as PNG.

    Args:
        table: file that `EpochLog` wrote.
        path: file to write.
    """
    rows = read_csv(table)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, prefix, title in zip(
        figure.subplots(1, 2), (_TRAIN, _VAL), ("loss in training", "validation"), strict=True
    ):
        names = dict.fromkeys(name for row in rows for name in row if name.startswith(prefix))
        for name in names:
            places = [i for i, row in enumerate(rows) if name in row]
            marker = "o" if len(places) == 1 else None
            values = [rows[i][name] for i in places]
            axes.plot(places, values, marker=marker, label=name.removeprefix(prefix))
        for i in range(1, len(rows)):
            if rows[i]["stage"] != rows[i - 1]["stage"]:
                axes.axvline(i - 0.5, color="grey", linestyle=":")
        axes.set(title=title, xlabel="epoch")
        if names:
            axes.legend(fontsize="small")
    with published(path) as scratch:
        figure.savefig(scratch, dpi=120)
