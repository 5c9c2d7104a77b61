"""The contrast loss: an instance looks to the adapted model as it does to the frozen one."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.losses.directions import unit
from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce


def instance_features(
    embedding: Float[Tensor, "b c h w"],
    masks: Float[Tensor, "n s s"],
    images: Int[Tensor, " n"],
) -> Float[Tensor, "n c"]:
    """Average the directions of an embedding's cells over each instance.

    An instance lies where its logits, resized to the embedding, are above 0; no gradient flows
    through that. The features of an instance without a cell are 0.

    Args:
        embedding: image embeddings, as `Embedding.main`.
        masks: low-resolution logits over the same square, as `Prediction.low_res[:, 0]`.
        images: index of the image of each instance.

    Source: official code of Zhang et al., Improving the Generalization of Segmentation
    Foundation Model under Distribution Shift via Weakly Supervised Adaptation (arXiv 2312.03502).
    """
    size = embedding.shape[-2:]
    resized = F.interpolate(masks.detach()[:, None], size, mode="bilinear", align_corners=False)
    inside = (resized[:, 0] > 0).to(single(embedding))
    own = unit(single(embedding), dim=1)[images.to(embedding.device)]  # (n, c, h, w)
    with torch.autocast(embedding.device.type, enabled=False):  # it would sum in half precision
        total = torch.einsum("nchw,nhw->nc", own, inside)
    return total / inside.sum(dim=(1, 2)).clamp_min(1)[:, None]


def instance_contrast_loss(
    features: Float[Tensor, "n c"],
    anchor: Float[Tensor, "n c"],
    images: Int[Tensor, " n"],
    *,
    temperature: float = 0.3,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute -log of the share of matching pairs among all pairs, for each image.

    With S_ij the cosine of feature i and anchor feature j over the temperature, it is
    -log(sum_i exp S_ii / sum_ij exp S_ij): one ratio for the whole matrix, as the official code
    has it, with the other instances of the same image as negatives. One instance costs 0.
    Instances without features (all 0) are left out.

    Args:
        features: instances as the model that learns sees them.
        anchor: the same instances as the frozen model sees them.
        images: index of the image of each instance.
        temperature: small ones press harder on the closest negatives.
        reduction: what becomes of one loss an image; images come by their index, those
            without an instance are left out.

    Source: Zhang et al., Improving the Generalization of Segmentation Foundation Model under
    Distribution Shift via Weakly Supervised Adaptation (arXiv 2312.03502), and its official code.
    """
    seen = ((features != 0).any(dim=1) & (anchor != 0).any(dim=1)).cpu()
    images = images.cpu()
    losses = [
        _one_image(features[rows], anchor[rows], temperature)
        for image in images[seen].unique()
        for rows in [(seen & (images == image)).nonzero()[:, 0].to(features.device)]
    ]
    return reduce(torch.stack(losses) if losses else features.sum(dim=1)[:0], reduction)


class InstanceContrastLoss(nn.Module):
    """Hold the settings of `instance_contrast_loss`."""

    def __init__(self, temperature: float = 0.3, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.temperature = temperature
        self.reduction: Reduction = reduction

    def forward(
        self,
        features: Float[Tensor, "n c"],
        anchor: Float[Tensor, "n c"],
        images: Int[Tensor, " n"],
    ) -> Float[Tensor, "..."]:
        """Return the loss of images; see `instance_contrast_loss`."""
        return instance_contrast_loss(
            features, anchor, images, temperature=self.temperature, reduction=self.reduction
        )


def _one_image(features: Tensor, anchor: Tensor, temperature: float) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        pairs = (
            unit(single(features), dim=1) @ unit(single(anchor), dim=1).T / temperature
        )  # (n, n)
    return pairs.flatten().logsumexp(0) - pairs.diagonal().logsumexp(0)
