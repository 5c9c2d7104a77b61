"""Time `samdomain med segment` with OpenVINO beside plain torch.

    python benchmarks/cases.py [ADAPTER] [IMAGES]     a folder, or a name: `polyp` by default; 20

The whole command runs on pictures of Kvasir's test, from reading its adapter to the report: masks,
overlays, figures. Only the start of Python and the first conversion for OpenVINO, which stays in
the cache, are outside. The two ways take turns, so that both meet the same load of the machine; the
fastest rounds count. `bar` is how many times as many images OpenVINO has to do. The result is
benchmarks/results/cases/NAME.json.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from grid import write_cell
from real_data import FOLDER

from samdomain.acceleration.engines import TorchEngine
from samdomain.segmenter import load_segmenter
from samdomain_med.verbs.segment import segment

ROUNDS = 3
BAR = 3.0
IMAGES = 20


def main() -> None:
    """Measure the adapter that the command line names."""
    adapter = sys.argv[1] if len(sys.argv) > 1 else "polyp"
    number = int(sys.argv[2]) if len(sys.argv) > 2 else IMAGES  # noqa: PLR2004 - both words
    name = Path(adapter).resolve().parent.name if Path(adapter).name == "adapter" else adapter
    write_cell("cases", Path(name).name, partial(measure, adapter, number))


def measure(adapter: str, number: int) -> dict[str, Any]:
    """Return images a second in each engine."""
    segmenter, _ = load_segmenter(adapter)
    engine = segmenter.accelerated().sam.engine  # a first conversion is no part of a run
    with tempfile.TemporaryDirectory() as folder:
        images, labels = linked(Path(folder), number)
        seconds: dict[str, list[float]] = {name: [] for name in ways()}
        agree: dict[str, dict[str, Any]] = {}
        for turn in range(ROUNDS):
            for name, way in ways().items():
                out = Path(folder) / f"{name}-{turn}"
                with way():
                    began = time.monotonic()
                    facts = segment(images, out=out, adapter=adapter, labels=labels)
                    seconds[name].append(time.monotonic() - began)
                agree[name] = facts["figures"]
    fastest = {name: min(own) for name, own in seconds.items()}
    return {
        "engine": engine,
        "images": number,
        "images_a_second": {name: round(number / one, 3) for name, one in fastest.items()},
        "seconds": {name: [round(one, 2) for one in own] for name, own in seconds.items()},
        "times": round(fastest["torch"] / fastest["openvino"], 2),
        "bar": BAR,
        "figures": agree,
    }


def ways() -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    """Return what is compared."""
    return {"openvino": nullcontext, "torch": plain_torch}


def plain_torch() -> AbstractContextManager[Any]:
    """Run encoder and decoder in plain torch."""
    return patch("samdomain.acceleration.snapshot.choose_engine", lambda _: TorchEngine())


def linked(folder: Path, number: int) -> tuple[Path, Path]:
    """Return folders with links to the first images of the test and to their masks."""
    places = []
    for kind in ("images", "masks"):
        place = folder / kind
        place.mkdir()
        for path in sorted((FOLDER / "kvasir-seg" / "test" / kind).iterdir())[:number]:
            (place / path.name).symlink_to(path.resolve())
        places.append(place)
    return places[0], places[1]


if __name__ == "__main__":
    main()
