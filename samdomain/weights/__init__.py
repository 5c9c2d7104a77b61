"""Weights: the registry, downloads, safe reading, and `load_sam`."""

from samdomain.weights.fetching import fetch
from samdomain.weights.loading import DEFAULT, build_sam, find, load_sam, sha256, verify
from samdomain.weights.reading import read_state
from samdomain.weights.registry import REGISTRY, cache_folder

__all__ = [
    "DEFAULT",
    "REGISTRY",
    "build_sam",
    "cache_folder",
    "fetch",
    "find",
    "load_sam",
    "read_state",
    "sha256",
    "verify",
]
