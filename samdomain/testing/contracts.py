"""Contracts of models and of plugins."""

from collections.abc import Mapping
from pathlib import Path

import torch

from samdomain.door import Domain
from samdomain.sam import Embedding, Prompts, Sam, SamLike, decode, encode
from samdomain.weights import load_sam


def tiny_sam() -> Sam:
    """Return a SAM that runs in milliseconds: 64 px input, random weights, always the same.

    It takes every kind of prompt. Its masks mean nothing.
    """
    return load_sam("tiny")


def check_sam(sam: SamLike, tolerance: float = 1e-5) -> None:
    """Check that a model keeps the contract that samdomain's functions rely on.

    Shapes and strides are as the spec states them; decoding a batch equals decoding its
    images one by one; gradients reach the embedding.

    Args:
        sam: model to check, in eval mode.
        tolerance: largest allowed difference of logits between a batch and single images,
            relative to the largest logit.

    Raises:
        AssertionError: the contract is broken; the message says where.
    """
    spec = sam.spec
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand((2, spec.input_channels, 48, 64), generator=generator) * 255
    with torch.no_grad():
        embedding = encode(sam, pixels)
    side = spec.embedding_size
    _equal("main", tuple(embedding.main.shape[-2:]), (side, side))
    for stride, level in embedding.levels.items():
        _equal(f"level at stride {stride}", level.shape[-1], spec.input_size // stride)
    prompts = Prompts(
        boxes=torch.tensor([[4.0, 4, 40, 30], [8, 8, 60, 44], [2, 2, 20, 20]]),
        images=torch.tensor([1, 0, 1]),
    )
    _check_batch(sam, embedding, prompts, tolerance)
    leaf = Embedding(embedding.main.clone().requires_grad_(), embedding.levels, embedding.frame)
    decode(sam, leaf, prompts).low_res.sum().backward()
    if leaf.main.grad is None or not leaf.main.grad.abs().sum() > 0:
        raise AssertionError("no gradient reaches the embedding through decode")


def check_domain(domain: Domain) -> None:
    """Check that a plugin has the shape of a `Domain`.

    Raises:
        AssertionError: a part is missing or of another type; the message says which.
    """
    _instance("name", domain.name, str)
    for part, found in (("verbs", domain.verbs()), ("recipes", domain.recipes())):
        _instance(part, found, Mapping)
        for name, value in found.items():
            if not callable(value) or not value.__doc__:
                raise AssertionError(f"{part} {name!r} must be callable and have a docstring")
    for part, folder in (("adapters", domain.adapters()), ("configs", domain.configs())):
        _instance(part, folder, Path)


def _check_batch(sam: SamLike, embedding: Embedding, prompts: Prompts, tolerance: float) -> None:
    if prompts.boxes is None:
        raise AssertionError("the check needs boxes")
    with torch.no_grad():
        together = decode(sam, embedding, prompts)
        _equal("low_res", tuple(together.low_res.shape[-2:]), (sam.spec.mask_size,) * 2)
        for row, image in enumerate(prompts.image_indices().tolist()):
            alone = decode(sam, embedding[image], Prompts(boxes=prompts.boxes[row : row + 1]))
            scale = max(1.0, float(alone.low_res.abs().max()))
            difference = float((alone.low_res[0] - together.low_res[row]).abs().max()) / scale
            if difference > tolerance:
                raise AssertionError(
                    f"prompt {row} decoded in a batch differs by {difference} from alone"
                )


def _equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{what} is {found}, the spec states {expected}")


def _instance(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise AssertionError(f"{what} is {value!r}, expected a {kind.__name__}")
