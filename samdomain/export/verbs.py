"""`samdomain export`: an adapter with its base, as files that run without samdomain."""

import re
from pathlib import Path
from typing import Literal

from samdomain.adapter_file.checkpoint import check_target, write_checkpoint
from samdomain.adapter_file.shipped import find_adapter
from samdomain.adapter_file.verbs import merge_adapter
from samdomain.door import Facts
from samdomain.errors import InputError
from samdomain.export.onnx_file import write_onnx
from samdomain.export.openvino_file import write_openvino
from samdomain.segmenter import load_segmenter
from samdomain.weights import load_sam

Format = Literal["onnx", "openvino", "checkpoint"]

_SIZE = re.compile(r"(\d+)(?:x(\d+))?")
_WRITERS = {"onnx": write_onnx, "openvino": write_openvino}


def export(
    adapter: str,
    *,
    format: Format,
    out: Path,
    size: str | None = None,
    overwrite: bool = False,
) -> Facts:
    """Write an adapter with its base as files that run without samdomain.

    Args:
        adapter: folder of an adapter, name of a shipped one, or weights, as a checkpoint.
        format: onnx, openvino (an .xml and a .bin), both of what it finds without prompts: images
            (batch, channels, rows, columns), 0 to 255, to logits; or checkpoint, plain weights
            with the adapter folded in.
        out: file to write: .onnx, .xml, or .pth, .pt, .safetensors.
        size: rows x columns of the images, as 480x640, or one number for both; by default the
            side of the encoder's input.
        overwrite: replace files that stand there.
    """
    if format == "checkpoint":
        return _checkpoint(adapter, out, overwrite=overwrite)
    try:
        folder = find_adapter(adapter)
    except InputError as error:
        raise InputError(f"{error}; weights alone answer prompts, which no graph holds") from error
    segmenter, card = load_segmenter(folder)
    side = segmenter.sam.spec.input_size
    wanted = (side, side) if size is None else _read(size)
    _WRITERS[format](segmenter, out, wanted, card, overwrite=overwrite)
    return Facts({"file": str(out), "rows": wanted[0], "columns": wanted[1]})


def _checkpoint(adapter: str, out: Path, *, overwrite: bool) -> Facts:
    check_target(out, overwrite=overwrite)
    try:
        folder = find_adapter(adapter)
    except InputError:
        sam = load_sam(adapter)  # whose own error names weights and files
        write_checkpoint(sam, out, overwrite=overwrite)
        return Facts({"checkpoint": str(out), "base": sam.spec.name})
    return merge_adapter(str(folder), out=out, overwrite=overwrite)


def _read(size: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if found is None:
        raise InputError(f"--size is {size!r}: give rows x columns, as 480x640, or one number")
    rows = int(found[1])
    return rows, int(found[2] or rows)
