"""The self-distillation loss: a first answer learns from the better second one."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.losses.precision import single
from samdomain.losses.reduction import Reduction, reduce


def self_distillation_loss(
    student: Float[Tensor, "*n h w"],
    teacher: Float[Tensor, "*n h w"],
    *,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Compute the Bernoulli divergence KL(teacher || student), the mean over pixels of a mask.

    The paper leaves the direction and the flow of gradients open, and no code was published.
    Here the teacher is the reference and held constant: only the student learns. In SAM-SP the
    student is the answer to the null prompt, the teacher the answer to its own box.

    Args:
        student: logits that learn.
        teacher: logits that are learned from; held constant.
        temperature: divides both logits; the loss is multiplied by its square, so that the size
            of the gradient stays.
        reduction: what becomes of one loss a mask.

    Source: Zhou et al., SAM-SP: Self-Prompting Makes SAM Great Again (arXiv 2408.12364).
    """
    taught, learned = single(teacher.detach()) / temperature, single(student) / temperature
    # Differences of logarithms, so that equal logits cost exactly 0 and none overflows.
    on = taught.sigmoid() * (F.logsigmoid(taught) - F.logsigmoid(learned))
    off = (-taught).sigmoid() * (F.logsigmoid(-taught) - F.logsigmoid(-learned))
    divergence = (on + off).mean(dim=(-2, -1)).clamp_min(0)  # rounding may leave it below
    return reduce(divergence * temperature**2, reduction)


class SelfDistillationLoss(nn.Module):
    """Hold the settings of `self_distillation_loss`."""

    def __init__(self, temperature: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.temperature = temperature
        self.reduction: Reduction = reduction

    def forward(
        self, student: Float[Tensor, "*n h w"], teacher: Float[Tensor, "*n h w"]
    ) -> Float[Tensor, "..."]:
        """Return the loss of masks; see `self_distillation_loss`."""
        return self_distillation_loss(
            student, teacher, temperature=self.temperature, reduction=self.reduction
        )
