"""samdomain for remote sensing: scenes of any size in, COGs and vector polygons out.

`change`, `demo`, `evaluate`, `finish`, `polygonize` and `segment` are the commands of these names
for Python.
The heavy libraries load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samdomain_geo.verbs.change import change
    from samdomain_geo.verbs.demo import demo
    from samdomain_geo.verbs.evaluate import evaluate
    from samdomain_geo.verbs.finish import finish
    from samdomain_geo.verbs.polygonize import polygonize
    from samdomain_geo.verbs.segment import segment

__all__ = ["change", "demo", "evaluate", "finish", "polygonize", "segment"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'samdomain_geo' has no attribute {name!r}")
    return getattr(import_module(f"samdomain_geo.verbs.{name}"), name)
