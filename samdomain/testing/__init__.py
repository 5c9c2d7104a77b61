"""Contracts that every model, plugin and injection keeps, for our tests and for yours."""

from samdomain.testing.contracts import check_domain, check_sam, tiny_sam
from samdomain.testing.distributed import check_distributed
from samdomain.testing.injections import check_injection

__all__ = ["check_distributed", "check_domain", "check_injection", "check_sam", "tiny_sam"]
