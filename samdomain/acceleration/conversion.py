"""Convert what torch has traced to OpenVINO's graphs, and leave the program's logs as they are."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def trace_to_openvino(
    part: nn.Module, inputs: tuple[Tensor, ...], shapes: Sequence[Sequence[int]]
) -> Any:
    """Trace a part once, without gradients, and return it as OpenVINO's graph.

    Args:
        part: what is traced; it returns a tensor or a tuple of them.
        inputs: examples of what goes in.
        shapes: shape of each input; -1 where a length is known only when the graph runs.
    """
    with torch.no_grad(), warnings.catch_warnings():
        # What the tracer warns of as constants are sizes that are fixed here.
        warnings.simplefilter("ignore")
        # OpenVINO would trace with torch's self-check, which runs the part over and over.
        traced = torch.jit.trace(part, inputs, check_trace=False)
    return to_openvino(traced, shapes, example_input=inputs)


def to_openvino(traced: Any, shapes: Sequence[Sequence[int]], **options: Any) -> Any:
    """Return a trace as OpenVINO's graph.

    Args:
        traced: what torch has traced.
        shapes: see `trace_to_openvino`.
        options: further words of OpenVINO's `convert_model`.
    """
    import openvino as ov  # noqa: PLC0415 - an extra

    with warnings.catch_warnings(), _logs_kept():
        warnings.simplefilter("ignore")  # of torch's own parts
        return ov.convert_model(traced, input=[list(shape) for shape in shapes], **options)


@contextmanager
def _logs_kept() -> Iterator[None]:
    """Undo what the converter does to the root logger: it mutes all warnings from then on."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers
