"""Ask a SAM about encoded images, as every recipe does."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samdomain.errors import PromptError
from samdomain.prompting import best_alternatives, original_masks, rough_boxes_around
from samdomain.recipes.batch import Batch
from samdomain.recipes.objects import Chosen
from samdomain.recipes.recipe import Answer, answer_to
from samdomain.sam import Embedding, Prediction, Prompts, SamLike, decode

Score = Callable[[Tensor, Tensor], Tensor]
"""Compare a predicted and a true mask, both bool, as `dice_score` does."""

_BELOW = 1e-3  # logits: what is silenced is a little less likely than not


def ask(sam: SamLike, embedding: Embedding, prompts: Prompts) -> Prediction:
    """Decode prompts and return one mask each.

    A single click may mean a part, an object or all of them: the best of three alternatives is
    returned, by the decoder's estimate, unless the weights know what it means in their field.
    """
    several = has_alternatives(sam, prompts)
    return best_alternatives(decode(sam, embedding, prompts, multimask=several))


def has_alternatives(sam: SamLike, prompts: Prompts) -> bool:
    """Tell whether prompts are best answered by one of three alternatives; see `ask`."""
    return sam.spec.alternatives and is_one_click(prompts)


def answer_prompts(
    recipe: str, sam: SamLike, embedding: Embedding, prompts: Prompts | None
) -> Prediction:
    """Return one mask a prompt, for a recipe that needs prompts.

    Args:
        recipe: name of the recipe.
        sam: model to ask.
        embedding: encoded images.
        prompts: what to look for.

    Raises:
        PromptError: no prompts were given.
    """
    if prompts is None:
        raise PromptError(
            f"a model of the recipe {recipe!r} answers prompts: give clicks, boxes or masks"
        )
    return ask(sam, embedding, prompts)


def ask_true_boxes(
    sam: SamLike, embedding: Embedding, chosen: Chosen, jitter: float = 0.0
) -> Answer:
    """Ask for true objects by their boxes, as a user would.

    Args:
        sam: model to ask.
        embedding: encoded images.
        chosen: objects to ask for; there may be none.
        jitter: share of the width or height by which a side moves, as one standard deviation.
    """
    chance = torch.default_generator
    boxes = rough_boxes_around(chosen.masks, chance, images=chosen.images, share=jitter)
    return answer_to(decode(sam, embedding, boxes), chosen.masks)


def silenced(
    logits: Float[Tensor, "n m s s"], cells: Bool[Tensor, "#n s s"], peak: float
) -> Float[Tensor, "n m s s"]:
    """Lower all logits of an image below 0 where some are above, and none reaches the peak.

    Their order stays: who looks for what is likeliest finds it still.

    Args:
        logits: answers in the decoder's resolution.
        cells: which of their cells have a part of the image, as `image_cells` tells.
        peak: probability from 0.5 to below 1.
    """
    own = logits.masked_fill(~cells[:, None], -torch.inf)
    highest = own.amax(dim=(1, 2, 3), keepdim=True)
    unsure = (highest > 0) & (highest < math.log(peak / (1 - peak)))
    return torch.where(unsure, logits - highest - _BELOW, logits)


def is_one_click(prompts: Prompts) -> bool:
    """Tell whether prompts have a single click each and nothing else."""
    if prompts.points is None or prompts.boxes is not None or prompts.masks is not None:
        return False
    return len(prompts) > 0 and all(len(clicks) == 1 for clicks in prompts.points)


def score_images(score: Score, prediction: Prediction, batch: Batch) -> Float[Tensor, " n"]:
    """Score each answer by all objects of its image, in pixels of the image."""
    masks = batch.foregrounds()
    return score_masks(score, prediction, [masks[image] for image in prediction.images.tolist()])


def score_masks(
    score: Score, prediction: Prediction, true: Sequence[Bool[Tensor, "_ _"]]
) -> Float[Tensor, " n"]:
    """Score each answer by a mask of its own, in pixels of its image."""
    pairs = zip(original_masks(prediction), true, strict=True)
    scores = [score(mask, other.to(mask.device)) for mask, other in pairs]
    return torch.stack(scores).cpu() if scores else torch.zeros(0)
