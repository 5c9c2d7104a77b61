"""What MONAI knows of an image, for what was made of it."""

from monai.data.meta_tensor import MetaTensor
from torch import Tensor


def with_meta(answer: Tensor, image: Tensor) -> Tensor:
    """Return an answer with what the MetaTensor of its image knows, or as it is of plain ones."""
    if not isinstance(image, MetaTensor):
        return answer
    told = MetaTensor(answer, meta=image.meta, applied_operations=image.applied_operations)
    told.is_batch = image.is_batch
    return told
