"""Remember, case by case, what a run has done, so that a stopped one goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samdomain.errors import InputError
from samdomain.whole_file import whole_file, writing

_FILE = ".cases.jsonl"

Row = dict[str, Any]
"""What is told of a case: its `name`, and `error` or what was found."""


@dataclass(frozen=True)
class Journal:
    """The lines that a run writes into the folder of its results, one a case.

    The first line says how the run was asked for.

    Attributes:
        folder: folder of the results.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / _FILE

    def begin(self, settings: Mapping[str, Any], *, resume: bool) -> dict[str, Row]:
        """Begin, or go on; return the rows of the cases that are done.

        Args:
            settings: what decides the results.
            resume: go on where there is something to go on with.

        Raises:
            InputError: the run before was asked for in another way, or nothing can be written.
        """
        if resume and self.path.is_file():
            before, rows = self._read()
            if before != dict(settings):
                changed = [name for name in settings if settings[name] != before.get(name)]
                raise InputError(
                    f"{self.folder} holds a run with another {', '.join(changed) or 'version'}: "
                    "give the same again, or --overwrite"
                )
            self._write(settings, rows)  # without a line that was cut off as it was written
            return rows
        self._write(settings, {})
        return {}

    def add(self, row: Row) -> None:
        """Write down a case.

        Raises:
            StoppedError: the disk is full.
        """
        with writing(self.path), self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def end(self) -> None:
        """Forget all: the results are complete."""
        self.path.unlink(missing_ok=True)

    def _write(self, settings: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
        lines = [json.dumps(one) + "\n" for one in (dict(settings), *rows.values())]
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as scratch:
                scratch.write_text("".join(lines))

    def _read(self) -> tuple[dict[str, Any], dict[str, Row]]:
        lines = self.path.read_text().splitlines()
        rows: dict[str, Row] = {}
        for line in lines[1:]:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break  # cut off as it was written: the case is done again
            rows[row["name"]] = row
        done = {name: row for name, row in rows.items() if "error" not in row}
        return (json.loads(lines[0]) if lines else {}), done
