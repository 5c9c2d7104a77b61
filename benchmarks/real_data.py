"""Find the real data that benchmarks and tests measure on; it is not part of the project."""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("SAMDOMAIN_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""Folder of the data; SAMDOMAIN_DATA overrides it."""
