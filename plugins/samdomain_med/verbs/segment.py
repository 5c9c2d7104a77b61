"""`samdomain med segment`: pictures, volumes and series in, masks and figures out."""

import json
import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import samdomain
from samdomain import load_segmenter
from samdomain.acceleration import Precision
from samdomain.adapter_file import AdapterCard, read_adapter
from samdomain.adapter_file.shipped import find_adapter, shipped
from samdomain.door import Facts
from samdomain.errors import InputError, PartialError
from samdomain.whole_file import whole_file, writing
from samdomain_med.case_figures import summarise
from samdomain_med.case_report import RESEARCH, write_cases, write_html, write_metrics
from samdomain_med.case_run import CaseRun
from samdomain_med.case_segmenter import CaseSegmenter
from samdomain_med.files.finding import find_cases
from samdomain_med.intensities import CT_WINDOWS, Intensities, Percentiles
from samdomain_med.journal import Journal
from samdomain_med.label_files import LabelFiles
from samdomain_med.slices import Slicing

RECORD = "run.json"

logger = logging.getLogger(__name__)


def segment(  # noqa: PLR0913 - a verb's parameters are its flags
    path: Path,
    *,
    out: Path,
    adapter: str | None = None,
    labels: Path | None = None,
    window: str | None = None,
    axis: int = 2,
    series: str | None = None,
    unplaced: bool = False,
    precision: Precision = "f32",
    resume: bool = False,
    overwrite: bool = False,
) -> Facts:
    """Find in pictures, NIfTI volumes and DICOM series what an adapter was trained to find.

    For research only: this is no medical device.

    Args:
        path: a file, or a folder with any number of cases in it and in its folders: PNG, JPEG,
            TIFF, NIfTI, and folders of DICOM series.
        out: folder for the results: of each case a mask of the same kind in the same geometry
            (PNG, NIfTI, DICOM SEG) and an overlay, cases.csv, report.html and run.json.
        adapter: folder of an adapter, or name of a shipped one (see samdomain adapter list).
        labels: file or folder of the truth, under the cases' names: metrics.csv then has Dice,
            IoU, boundary F1 and HD95 of each, their means, medians and confidence intervals.
        window: window of CT: soft_tissue, lung, bone, brain or liver; otherwise values that are
            no eight bits are stretched between their percentiles.
        axis: axis along which volumes are sliced, as the adapter was trained: 0 from left to
            right, 1 from back to front, 2 from feet to head; the file's own axes where it does
            not say how it lies.
        series: which series of a DICOM folder that has several: its UID, or its number.
        unplaced: take NIfTI volumes whose header has no affine.
        precision: f32, or bf16: faster where the processor knows it, and less exact.
        resume: go on with a run that was stopped, and try again what could not be read.
        overwrite: replace earlier results.

    Returns:
        Facts: counts, mean figures and files.

    Raises:
        InputError: an input or a flag cannot be used; nothing was written.
        PartialError: some cases could not be read; they are listed, the others are done.
        StoppedError: the disk is full; `resume` goes on.
    """
    out = Path(out)
    if adapter is None:
        raise InputError(f"no --adapter is given: {_choice()}")
    if (out / RECORD).exists() and not (resume or overwrite):
        raise InputError(f"{out} holds results: give another --out, --resume or --overwrite")
    found = find_cases(Path(path), series=series, unplaced=unplaced)
    asked, card = _load(adapter, precision, window, axis)
    truth = None if labels is None else LabelFiles(Path(labels), asked.classes)
    labelled = 0 if truth is None else truth.check(found)
    if truth is not None and labelled < len(found):
        logger.warning("%d of %d cases have no labels", len(found) - labelled, len(found))
    settings = {
        "samdomain": samdomain.__version__,
        "input": str(path),
        "series": series,
        "unplaced": unplaced,
        "adapter": dict(read_adapter(find_adapter(adapter)).files),
        "window": window,
        "axis": axis,
        "precision": precision,
        "labels": None if labels is None else str(labels),
    }
    journal = Journal(out)
    done = journal.begin(settings, resume=resume)
    rows = CaseRun(asked, journal, truth, card.modality, asked.channels)(found, done)
    summaries = summarise([row["figures"] for row in rows if row.get("figures")])
    write_cases(rows, out / "cases.csv")
    if summaries:
        write_metrics(rows, summaries, out / "metrics.csv")
    about = (f"samdomain {samdomain.__version__}", f"adapter {adapter}: {card.summary}")
    write_html(rows, summaries, about, out, out / "report.html")
    failed = [row for row in rows if "error" in row]
    told: dict[str, Any] = {
        "folder": str(out),
        "cases": len(rows),
        "with something found": sum(row.get("share", 0) > 0 for row in rows),
        "uncertain": sum(bool(row.get("uncertain")) for row in rows),
        "failed": len(failed),
        "figures": {name: _told(one.mean) for name, one in summaries.items()},
    }
    figures = {
        name: {key: _told(value) for key, value in asdict(one).items()}
        for name, one in summaries.items()
    }
    use = {"intended use": card.intended_use or RESEARCH}
    _record(out / RECORD, {**settings, **told, **use, "summaries": figures})
    if failed:
        raise PartialError(
            f"{len(failed)} of {len(rows)} cases could not be read, as {failed[0]['name']} "
            f"({failed[0]['error']}); the others are in {out}, and cases.csv lists all"
        )
    journal.end()
    return Facts(told)


def _load(
    adapter: str, precision: Precision, window: str | None, axis: int
) -> tuple[CaseSegmenter, AdapterCard]:
    if window is not None and window not in CT_WINDOWS:
        raise InputError(f"--window is {window!r}: allowed are {', '.join(CT_WINDOWS)}")
    slow, card = load_segmenter(adapter)
    intensities: Intensities = Percentiles() if window is None else CT_WINDOWS[window]
    names = card.classes if len(card.classes) == len(slow.legend) else slow.legend.names
    segmenter = slow.accelerated(precision)
    return CaseSegmenter(segmenter, tuple(names), Slicing(axis), intensities), card


def _choice() -> str:
    """Return what can be given."""
    known = {name: read_adapter(folder).card for name, folder in shipped().items()}
    listed = ", ".join(
        f"{name} ({card.modality or 'any modality'})"
        for name, card in known.items()
        if card.output == "semantic"
    )
    return f"shipped are {listed or 'none'}; or give the folder of one that you trained"


def _told(value: float) -> float | None:
    """Return a figure as JSON can hold it."""
    return round(value, 4) if math.isfinite(value) else None


def _record(path: Path, told: dict[str, Any]) -> None:
    with writing(path), whole_file(path) as scratch:
        scratch.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n")
