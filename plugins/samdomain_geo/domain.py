"""The door of the geo plugin: what it adds to samdomain."""

from collections.abc import Mapping
from pathlib import Path

from samdomain.door import Verb
from samdomain_geo.recipes import SamCD
from samdomain_geo.verbs.change import change
from samdomain_geo.verbs.demo import demo
from samdomain_geo.verbs.evaluate import evaluate
from samdomain_geo.verbs.finish import finish
from samdomain_geo.verbs.init import init
from samdomain_geo.verbs.polygonize import polygonize
from samdomain_geo.verbs.segment import segment

_HERE = Path(__file__).parent


class Geo:
    """Remote sensing: scenes, vector files, change."""

    name = "geo"

    def verbs(self) -> Mapping[str, Verb]:
        """Return the plugin's commands by name."""
        return {
            "segment": segment,
            "change": change,
            "init": init,
            "polygonize": polygonize,
            "evaluate": evaluate,
            "finish": finish,
            "demo": demo,
        }

    def recipes(self) -> Mapping[str, type]:
        """Return the plugin's own recipes by name."""
        return {SamCD.name: SamCD}

    def adapters(self) -> Path:
        """Return the folder of shipped adapters; none is shipped yet."""
        return _HERE / "adapters"

    def configs(self) -> Path:
        """Return the folder of shipped training configs."""
        return _HERE / "configs"


domain = Geo()
