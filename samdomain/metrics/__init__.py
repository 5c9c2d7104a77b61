"""How good masks are: numbers from bool masks, with what an empty mask counts as stated.

Masks are bool. Logits become masks by `logits > 0`, in every SAM.

| | both masks empty | one of them empty |
|---|---|---|
| Dice, IoU, boundary F1 | 1 | 0 |
| Hausdorff distance | 0 | infinite |
| F1 and IoU of changes | 1 | 0 |
| precision (no object predicted), recall (no object true) | 1 | 1 |
"""

from samdomain.metrics.change import ChangeCounts, ObjectHits
from samdomain.metrics.classes import class_figures
from samdomain.metrics.contours import boundary_f1, hausdorff95
from samdomain.metrics.objects import ObjectScores, match_objects
from samdomain.metrics.overlap import (
    class_averaged,
    dice_score,
    iou_score,
    pooled_dice,
    pooled_iou,
)

__all__ = [
    "ChangeCounts",
    "ObjectHits",
    "ObjectScores",
    "boundary_f1",
    "class_averaged",
    "class_figures",
    "dice_score",
    "hausdorff95",
    "iou_score",
    "match_objects",
    "pooled_dice",
    "pooled_iou",
]
