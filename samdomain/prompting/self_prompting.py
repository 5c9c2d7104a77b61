"""Let a SAM prompt itself: each answer becomes the question of the next round."""

import torch
from torch import Tensor

from samdomain.errors import InputError
from samdomain.prompting.answers import ToPrompts, found, predicted_boxes, whole_images
from samdomain.sam import Embedding, Prediction, Prompts, SamLike, decode


def self_prompt(
    sam: SamLike,
    embedding: Embedding,
    rounds: int,
    to_prompt: ToPrompts = predicted_boxes,
    *,
    empty: ToPrompts = whole_images,
    start: Prompts | None = None,
) -> tuple[Prediction, ...]:
    """Decode images, and decode them again with prompts made from the answer.

    The images are encoded already, so each round costs a decoding only. Gradients flow into
    every round's masks; they stop at boxes and clicks, which have none.

    Args:
        sam: model to decode with.
        embedding: images as `encode` returned them.
        rounds: decodings after the first; 0 gives the first answer alone.
        to_prompt: makes prompts from masks that are not empty, as `predicted_boxes` (SAM-SP) or
            `together(predicted_masks, predicted_centres)` (SamLP).
        empty: makes prompts from masks that are empty: `whole_images`, or `no_prompts`, which
            gives the first answer to the null prompt again.
        start: prompts of the first decoding; the null prompt for each image by default.

    Returns:
        tuple: the prediction of the first decoding and of every round, rounds + 1 in all. Prompts
        keep their order; where `to_prompt` gives more than one for a mask and some masks are
        empty, they are in the order of their images.

    Raises:
        InputError: rounds are fewer than 0.
        PromptError: the weights were not trained with the prompts that the rules give.

    Source: Zhou et al., SAM-SP (arXiv 2408.12364), with one round; Ding et al., SamLP (arXiv
    2401.06374), with several.
    """
    if rounds < 0:
        raise InputError(f"rounds is {rounds}: give 0 or more")
    start = Prompts.null(len(embedding)) if start is None else start
    predictions = [decode(sam, embedding, start)]
    for _ in range(rounds):
        predictions.append(_next(sam, embedding, predictions[-1], (to_prompt, empty)))
    return tuple(predictions)


def _next(
    sam: SamLike, embedding: Embedding, prediction: Prediction, rules: tuple[ToPrompts, ToPrompts]
) -> Prediction:
    seen = found(prediction).flatten(1).any(dim=1).cpu()
    groups = [rows.nonzero()[:, 0] for rows in (seen, ~seen)]
    answers = [
        decode(sam, embedding, rule(prediction[rows]))
        for rule, rows in zip(rules, groups, strict=True)
        if len(rows)
    ]
    if len(answers) < 2:  # noqa: PLR2004 - both groups
        return answers[0] if answers else prediction
    return _join(answers, torch.cat(groups))


def _join(answers: list[Prediction], rows: Tensor) -> Prediction:
    images = torch.cat([answer.images for answer in answers])
    joined = Prediction(
        torch.cat([answer.low_res for answer in answers]),
        torch.cat([answer.iou for answer in answers]),
        images,
        answers[0].frame,
    )
    key = rows if len(rows) == len(images) else images
    return joined[key.argsort(stable=True)]
