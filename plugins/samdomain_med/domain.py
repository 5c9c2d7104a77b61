"""The door of the med plugin: what it adds to samdomain."""

from collections.abc import Mapping
from pathlib import Path

from samdomain.door import Verb
from samdomain_med.verbs.bundle_weights import bundle_weights
from samdomain_med.verbs.segment import segment

_HERE = Path(__file__).parent


class Med:
    """Medical images: polyps, ultrasound, volumes."""

    name = "med"

    def verbs(self) -> Mapping[str, Verb]:
        """Return the commands `samdomain med ...` by name."""
        return {"segment": segment, "bundle-weights": bundle_weights}

    def recipes(self) -> Mapping[str, type]:
        """Return the plugin's own recipes: none yet."""
        return {}

    def adapters(self) -> Path:
        """Return the folder of shipped adapters."""
        return _HERE / "adapters"

    def configs(self) -> Path:
        """Return the folder of shipped training configs."""
        return _HERE / "configs"


domain = Med()
