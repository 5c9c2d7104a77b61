"""Tasks for those who train with torchgeo: its words and batches, our recipes."""

from samdomain_geo.tasks.change_detection import SamChangeDetection
from samdomain_geo.tasks.semantic_segmentation import SamSemanticSegmentation
from samdomain_geo.tasks.temporal_augmentation import TemporalAugmentation

__all__ = ["SamChangeDetection", "SamSemanticSegmentation", "TemporalAugmentation"]
