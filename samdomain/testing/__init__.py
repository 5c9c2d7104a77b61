"""Contracts that every model, plugin and injection keeps, for our tests and for yours."""

from samdomain.testing.compilation import check_compiled
from samdomain.testing.contracts import check_domain, check_sam, tiny_sam
from samdomain.testing.distributed import check_distributed
from samdomain.testing.injections import check_injection, move_trained

__all__ = [
    "check_compiled",
    "check_distributed",
    "check_domain",
    "check_injection",
    "check_sam",
    "move_trained",
    "tiny_sam",
]
