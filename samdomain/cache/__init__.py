"""Features of a model's frozen part on disk, so that the second epoch never runs it."""

from samdomain.cache.encoder import CachedSam, cache_features
from samdomain.cache.latest import LatestSam
from samdomain.cache.prefix import SharedPrefix
from samdomain.cache.store import FeatureStore, features_folder

__all__ = [
    "CachedSam",
    "FeatureStore",
    "LatestSam",
    "SharedPrefix",
    "cache_features",
    "features_folder",
]
