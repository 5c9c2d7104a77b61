"""A segmenter as one graph of operations, which tracers can follow from end to end."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.classes import head_of
from samdomain.errors import InputError
from samdomain.injection import fold
from samdomain.masks import tight_boxes
from samdomain.prompting import image_cells
from samdomain.recipes import SAMed, SamLP, SamSP
from samdomain.recipes.answering import silenced
from samdomain.sam import Embedding, Frame, Sam
from samdomain.sam.encoding import normalise
from samdomain.sam.frame import resize_image
from samdomain.segmenter import Segmenter


class SegmenterGraph(nn.Module):
    """Answer images of one size as a segmenter does that is not prompted.

    Nothing in it depends on values but by operations on tensors: where a recipe asks for the box
    of what it found, and for the whole image where that is nothing, both are computed and one of
    them is chosen. It sees no images that are not finite and refuses nothing.

    Args:
        segmenter: what is to be traced; it is copied, and what was injected folded in.
        size: rows and columns of the images.

    Raises:
        InputError: its recipe needs prompts, or chooses what it does next by values.
    """

    cells: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, segmenter: Segmenter, size: tuple[int, int]) -> None:
        super().__init__()
        self._answer = _answer_of(segmenter.recipe)
        self.segmenter = copy.deepcopy(segmenter).eval().requires_grad_(False)
        if not isinstance(self.segmenter.sam, Sam):
            raise InputError(
                f"a {type(segmenter.sam).__name__} cannot be exported: give a Sam in plain torch"
            )
        fold(self.segmenter.sam)
        spec = self.segmenter.sam.spec
        self.frame = Frame((size,), spec.input_size, spec.padding)
        cells = image_cells(self.frame, 0, spec.mask_size)
        self.register_buffer("cells", cells, persistent=False)
        rows, columns = self.frame.resized(0)
        self.register_buffer("rows", _weights(size[0], rows), persistent=False)
        self.register_buffer("columns", _weights(size[1], columns).T, persistent=False)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Return the logit of each class in pixels of the images, as `Segmenter` does."""
        sam, frame = self.segmenter.sam, self.frame
        pixels = self.segmenter.pixels(images.float())
        resized = self.rows @ pixels @ self.columns
        inputs = frame.pad(normalise(sam.spec, resized, self.segmenter.value_range), 0)
        embedding = Embedding(*sam.image_encoder(inputs), frame)
        low_res = self._answer(self, embedding)
        logits = frame.to_original(low_res.flatten(0, 1), 0).unflatten(0, low_res.shape[:2])
        return logits / self.segmenter.temperature

    def decode(
        self,
        embedding: Embedding,
        boxes: Float[Tensor, "b 4"] | None = None,
        *,
        multimask: bool = False,
    ) -> tuple[Float[Tensor, "b m s s"], Float[Tensor, "b m"]]:
        """Return logits and estimated IoU for one prompt an image, as `samdomain.decode`.

        Args:
            embedding: images as the encoder gives them.
            boxes: in pixels of the original images; the null prompt without them.
            multimask: give three alternatives instead of one mask.
        """
        sam, main = self.segmenter.sam, embedding.main
        count = main.shape[0]  # `len` would fix the number of images
        if boxes is not None:
            corners = boxes.reshape(-1, 2, 2)
            boxes = self.frame.to_input(corners, _first(corners)).reshape(-1, 4)
        sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
        return sam.mask_decoder(
            image_embeddings=main,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse.expand(count, *sparse.shape[1:]),
            dense_prompt_embeddings=dense.expand(count, *dense.shape[1:]),
            multimask_output=multimask,
        )

    def boxes(self, logits: Float[Tensor, "b 1 s s"]) -> Float[Tensor, "b 4"]:
        """Return the box around each mask, or the whole image where it is empty, in its pixels."""
        found = (logits[:, 0] > 0) & self.cells
        rows, columns = self.frame.sizes[0]
        corners = tight_boxes(found).reshape(-1, 2, 2) * (self.frame.input_size / found.shape[-1])
        ends = corners.new_tensor([columns, rows])
        inside = self.frame.from_input(corners, _first(corners)).clamp_min(0).minimum(ends)
        whole = corners.new_tensor([0, 0, columns, rows])
        return torch.where(found.flatten(1).any(dim=1)[:, None], inside.reshape(-1, 4), whole)


Answering = Callable[[SegmenterGraph, Embedding], Tensor]
"""Return low-resolution logits (B, K, S, S), as the recipe's `answer`."""


def _answer_of(recipe: Any) -> Answering:
    """Return how a recipe answers without prompts, in operations alone."""
    if isinstance(recipe, SamSP):
        return lambda graph, embedding: _self_prompted(graph, embedding, recipe)
    if isinstance(recipe, SAMed):
        return _classified
    if isinstance(recipe, SamLP) and recipe.refinement is None:
        return lambda graph, embedding: _best(graph, embedding, multimask=recipe.multimask)
    raise InputError(
        f"a model of the recipe {recipe.name!r} chooses what it does next by what it found, or by "
        "prompts: a graph can hold sam_sp, samed, and samlp without its refinement; "
        "--format checkpoint writes the weights"
    )


def _classified(graph: SegmenterGraph, embedding: Embedding) -> Tensor:
    sam = graph.segmenter.sam
    return head_of(sam).class_logits(embedding, sam.prompt_encoder)


def _self_prompted(graph: SegmenterGraph, embedding: Embedding, recipe: SamSP) -> Tensor:
    logits, _ = graph.decode(embedding)
    for _ in range(recipe.rounds):
        logits, _ = graph.decode(embedding, graph.boxes(logits))
    return silenced(logits, graph.cells[None], recipe.peak)


def _best(graph: SegmenterGraph, embedding: Embedding, *, multimask: bool) -> Tensor:
    logits, iou = graph.decode(embedding, multimask=multimask)
    best = iou.argmax(dim=1)[:, None, None, None]
    return logits.gather(1, best.expand(-1, 1, *logits.shape[2:]))


def _first(rows: Tensor) -> Tensor:
    """Return for each row that it belongs to the first image: all have its size."""
    return torch.zeros(rows.shape[0], dtype=torch.long)


def _weights(length: int, wanted: int) -> Float[Tensor, "_ _"]:
    """Return the matrix that resizes a side of images, as not every engine knows the filter."""
    return resize_image(torch.eye(length)[None], (wanted, length))[0]
