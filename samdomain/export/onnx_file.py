"""Write a segmenter as an ONNX file."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from samdomain.adapter_file import AdapterCard
from samdomain.adapter_file.checkpoint import check_target
from samdomain.errors import InputError, MissingExtraError
from samdomain.export.tracing import INPUT, OUTPUT, told, trace
from samdomain.segmenter import Segmenter
from samdomain.whole_file import whole_file, writing

_MOST = 2**31  # bytes of a protobuf message


def write_onnx(
    segmenter: Segmenter,
    path: Path,
    size: tuple[int, int],
    card: AdapterCard | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write what a segmenter does without prompts as one ONNX file.

    Its input `images` is (batch, channels, rows, columns) in float32, in the values that the
    segmenter takes (0 to 255, or those of a network's `value_range`), any number of one size;
    its output `logits` is (batch, classes, rows, columns), divided by the temperature.

    Args:
        segmenter: what is written; it is not changed.
        path: file to write, .onnx.
        size: rows and columns of the images.
        card: what its adapter says of itself, for the file's metadata.
        overwrite: replace a file that stands there.

    Raises:
        InputError: the file cannot be written, or its recipe cannot be traced; see
            `SegmenterGraph`.
        MissingExtraError: onnxscript is not installed.
        StoppedError: the disk is full; an earlier file is as it was.
    """
    check_target(path, (".onnx",), overwrite=overwrite)
    if find_spec("onnxscript") is None:
        raise MissingExtraError("ONNX files need onnxscript: pip install 'samdomain[onnx]'")
    weights = sum(one.numel() * one.element_size() for one in segmenter.parameters())
    if weights >= _MOST:
        raise InputError(f"{weights / 1e9:.1f} GB of weights, one ONNX file holds 2: use openvino")
    traced = trace(segmenter, size)
    with warnings.catch_warnings():
        # torch and onnxscript warn of their own parts.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            traced, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    program.model.metadata_props.update(told(segmenter, card or AdapterCard()))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, durable=True) as scratch:
            program.save(scratch, external_data=False)
