"""Record what a run was made of, so that it can be understood and repeated."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import rasterio

from samdomain import __version__
from samdomain.adapter_file import read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain.weights import sha256
from samdomain_geo.source import is_remote, public_name, remote_version

SCHEMA = 1


@dataclass
class Stopwatch:
    """Note how many seconds each stage of a run takes."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=perf_counter)

    def lap(self, stage: str) -> None:
        """Note the time since the last stage ended."""
        now = perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now


def identify(path: str | Path) -> dict[str, Any]:
    """Return the name of an input and what tells its content from another.

    A file has the SHA-256 of its content. What lies behind a URL is not downloaded for it: it
    has what the server tells, size, etag and last_modified.
    """
    if is_remote(str(path)):
        return {"path": public_name(str(path)), "sha256": None, **remote_version(str(path))}
    file = Path(path)
    return {"path": str(path), "sha256": sha256(file) if file.is_file() else None}


def identify_adapter(adapter: str) -> dict[str, Any]:
    """Return where an adapter lies, and the SHA-256 of its files of tensors."""
    folder = find_adapter(adapter)
    return {"folder": str(folder), "files": dict(read_adapter(folder).files)}


def write_record(path: Path, verb: str, content: Mapping[str, Any]) -> None:
    """Write `run.json`.

    Args:
        path: file to write.
        verb: command that ran.
        content: inputs, weights, parameters, counts and seconds of the run.
    """
    record = {
        "schema": SCHEMA,
        "verb": verb,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "samdomain": __version__,
            "python": platform.python_version(),
            "torch": version("torch"),
            "rasterio": rasterio.__version__,
            "gdal": rasterio.__gdal_version__,
        },
        **content,
    }
    path.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
