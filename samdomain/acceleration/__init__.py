"""Run a finished SAM faster: one frozen snapshot, whichever engine fits the machine."""

from samdomain.acceleration.engine import Precision
from samdomain.acceleration.snapshot import AcceleratedSam, accelerate

__all__ = ["AcceleratedSam", "Precision", "accelerate"]
