"""One folder that carries what training changed: to another machine, to peft, and back."""

from samdomain.adapter_file.description import Adapter, AdapterCard, Base, DataSource
from samdomain.adapter_file.loading import LoadedAdapter, load_adapter, read_adapter
from samdomain.adapter_file.saving import save_adapter

__all__ = [
    "Adapter",
    "AdapterCard",
    "Base",
    "DataSource",
    "LoadedAdapter",
    "load_adapter",
    "read_adapter",
    "save_adapter",
]
