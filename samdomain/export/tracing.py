"""Trace a segmenter into torch's exported form, which every writer starts from."""

import warnings

import torch
from torch.export import Dim, ExportedProgram

import samdomain
from samdomain.adapter_file import AdapterCard
from samdomain.errors import InputError
from samdomain.export.graph import SegmenterGraph
from samdomain.segmenter import Segmenter

INPUT, OUTPUT = "images", "logits"
"""Names of what goes into an exported graph and of what comes out."""

# Two, since a tracer takes one for a constant.
_EXAMPLES = 2


def trace(segmenter: Segmenter, size: tuple[int, int]) -> ExportedProgram:
    """Trace a segmenter for any number of images of one size.

    Args:
        segmenter: what is to be traced; it is not changed.
        size: rows and columns of the images.

    Raises:
        InputError: the size is none, or the recipe cannot be traced; see `SegmenterGraph`.
    """
    if min(size) < 1:
        raise InputError(f"size is {size}: give rows and columns of 1 or more")
    graph = SegmenterGraph(segmenter, size)
    images = torch.zeros(_EXAMPLES, channels(segmenter), *size)
    with torch.no_grad(), warnings.catch_warnings():
        # torch's own modules warn of one another while they trace.
        warnings.simplefilter("ignore")
        return torch.export.export(graph, (images,), dynamic_shapes=({0: Dim("batch")},))


def channels(segmenter: Segmenter) -> int:
    """Return how many channels a segmenter's images have."""
    return int(getattr(segmenter, "in_channels", segmenter.sam.spec.input_channels))


def told(segmenter: Segmenter, card: AdapterCard) -> dict[str, str]:
    """Return what a graph's file says of itself."""
    values = {
        "samdomain": samdomain.__version__,
        "recipe": segmenter.recipe.name,
        "classes": ", ".join(card.classes or segmenter.legend.names),
        "summary": card.summary,
        "modality": card.modality,
        "intended_use": card.intended_use,
    }
    return {name: value for name, value in values.items() if value}
