"""Record what a run was made of, so that it can be understood and repeated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from samdomain.adapter_file import read_adapter
from samdomain.adapter_file.shipped import find_adapter
from samdomain_geo.engine.plan import Manifest

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


def identify_adapter(adapter: str) -> dict[str, Any]:
    """Return where an adapter lies, and the SHA-256 of its files of tensors."""
    folder = find_adapter(adapter)
    return {"folder": str(folder), "files": dict(read_adapter(folder).files)}


def write_record(path: Path, manifest: Manifest, content: Mapping[str, Any]) -> None:
    """Write `run.json`.

    Args:
        path: file to write.
        manifest: the run, with its date and versions.
        content: inputs, weights, parameters, counts and seconds of the run.
    """
    record = {
        "schema": SCHEMA,
        "verb": manifest.verb,
        "date": manifest.date,
        "versions": manifest.versions,
        **content,
    }
    path.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
