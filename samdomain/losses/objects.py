"""The object loss: a prediction is even inside each object that SAM saw."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce


def object_loss(
    logits: Float[Tensor, "b c h w"],
    objects: Int[Tensor, "b h w"],
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the spread of logits inside objects, for each image.

    Each object of N pixels adds (N / (N + 1))^2 times the squared distance of its logits from
    their mean, averaged over the channels and all pixels of the image. So large objects weigh
    more, and the loss grows with the number of objects: this is the official code, which does
    not average over objects. All objects count; the code stops after 49.

    Args:
        logits: classes of each pixel; logits, not probabilities.
        objects: an id for each object of an image, in any order; 0 and below is no object.
        reduction: what becomes of one loss an image.

    Source: Ma et al., SAM-Assisted Remote Sensing Imagery Semantic Segmentation With Object
    and Boundary Constraints (arXiv 2312.02464), "object loss", and its official code.
    """
    images, channels, *_ = logits.shape
    values = single(logits).movedim(1, -1).reshape(-1, channels)  # (b * h * w, c)
    image = torch.arange(images, device=objects.device)[:, None, None].expand_as(objects)
    keys = torch.stack([image, objects.clamp_min(0)], dim=-1).reshape(-1, 2)
    _, owner = keys.unique(dim=0, return_inverse=True)
    count = int(owner.max()) + 1 if len(owner) else 0
    pixels = values.new_zeros(count).index_add(0, owner, torch.ones_like(values[:, 0]))
    mean = values.new_zeros(count, channels).index_add(0, owner, values) / pixels[:, None]
    weight = (pixels / (pixels + 1)).square()[owner] * (objects.reshape(-1) > 0)
    spread = weight * (values - mean[owner]).square().mean(dim=1)
    return reduce(spread.reshape(objects.shape).mean(dim=(1, 2)), reduction)


class ObjectLoss(nn.Module):
    """Hold the settings of `object_loss`."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction

    def forward(
        self, logits: Float[Tensor, "b c h w"], objects: Int[Tensor, "b h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of images; see `object_loss`."""
        return object_loss(logits, objects, reduction=self.reduction)
