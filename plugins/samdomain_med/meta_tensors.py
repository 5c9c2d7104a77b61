"""What MONAI knows of an image, for what was made of it and for who asks which one it is."""

from collections.abc import Hashable

from monai.data.meta_tensor import MetaTensor
from monai.utils.misc import ImageMetaKey
from torch import Tensor


def with_meta(answer: Tensor, image: Tensor) -> Tensor:
    """Return an answer with what the MetaTensor of its image knows, or as it is of plain ones."""
    if not isinstance(image, MetaTensor):
        return answer
    told = MetaTensor(answer, meta=image.meta, applied_operations=image.applied_operations)
    told.is_batch = image.is_batch
    return told


def file_of(image: Tensor, key: Hashable) -> str:
    """Return the file that the MetaTensor of an image was read from; else its key in quotes."""
    known = image.meta if isinstance(image, MetaTensor) else {}
    return str(known.get(ImageMetaKey.FILENAME_OR_OBJ) or repr(key))
