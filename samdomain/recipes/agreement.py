"""How good an adapted model is, as far as agreement can tell it without labels."""

from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.losses import mask_iou
from samdomain.prompting import best_masks
from samdomain.sam import Prediction


def overlap(one: Prediction, other: Prediction) -> Float[Tensor, " n"]:
    """Return the IoU of the best masks of two answers to the same prompts, on the CPU."""
    return mask_iou(best_masks(one), (best_masks(other) > 0).float()).cpu()


def kept(answer: Prediction, source: Prediction, wavering: Prediction) -> Float[Tensor, " n"]:
    """Return how much of what the frozen source is sure of an answer keeps, on the CPU.

    It is the IoU with the source's mask, but that no cell counts against it in which the source
    contradicts itself.

    Args:
        answer: the model's N best masks of the images as they are.
        source: the frozen source's, of the same images.
        wavering: the frozen source's, of their strong views.

    Returns:
        A share for each mask, 0 to 1; two empty masks are 1.
    """
    mine, its, other = (_there(one) for one in (answer, source, wavering))
    lost = (mine != its) & (its == other)
    either = (mine | its).sum((-2, -1)).clamp_min(1)
    return (1 - lost.sum((-2, -1)) / either).cpu()


def agreement(views: Float[Tensor, " n"], anchor: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Weigh how steady answers are against what they keep of the frozen source's.

    It is the harmonic mean, to which one is worth nothing without the other: a collapsed model is
    steady, and the source keeps all of itself. Before training nothing is lost yet, and what the
    first steps change counts in full; were the plain IoU with the source taken for `anchor`, each
    repair would cost what damage costs, and the first epochs would win too often. As a rule what
    is to be repaired lies where the source says one thing of an image and another of its strong
    view: there it costs nothing.

    It sees answers that hang on light and colour, and those that leave what the source is sure of:
    for nothing, all of a box, or another thing. It does not see an error that the source makes in
    both views: its repair counts as a loss, and leaving it costs nothing. Nor does it see what
    becomes of cells in which the source wavers, as long as the model's views agree on them. It
    ranks epochs of one training; it is no measure of quality, and compares neither data nor
    recipes.

    Args:
        views: IoU of the answers to both views of each mask, 0 to 1.
        anchor: what `kept` returns of them.

    Returns:
        A share for each mask, 0 to 1; more is better.

    Source: ours. The official code of WeSAM (Zhang et al., arXiv 2312.03502) chooses its epoch by
    the masks that it is evaluated on.
    """
    return 2 * views * anchor / (views + anchor).clamp_min(1e-9)  # both may be 0


def _there(prediction: Prediction) -> Bool[Tensor, "n s s"]:
    return best_masks(prediction).detach() > 0
