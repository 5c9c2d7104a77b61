"""Two dates of one place: a head on a SAM that tells what changed between them."""

from samdomain.change.head import ChangeDecoder, ChangeHead, detect_change
from samdomain.change.prediction import ChangePrediction

__all__ = ["ChangeDecoder", "ChangeHead", "ChangePrediction", "detect_change"]
