"""Run a finished SAM faster: one frozen snapshot, whichever engine fits the machine."""

from samdomain.acceleration.engine import Precision
from samdomain.acceleration.snapshot import AcceleratedSam, accelerate
from samdomain.acceleration.steps import FastSteps

__all__ = ["AcceleratedSam", "FastSteps", "Precision", "accelerate"]
