"""Write a segmenter as OpenVINO's pair of files."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

from samdomain.acceleration.conversion import to_openvino
from samdomain.adapter_file import AdapterCard
from samdomain.adapter_file.checkpoint import check_target
from samdomain.errors import MissingExtraError
from samdomain.export.tracing import INPUT, OUTPUT, channels, told, trace
from samdomain.segmenter import Segmenter
from samdomain.whole_file import whole_file, writing

_ANY = -1  # how OpenVINO writes a length that is known only when the graph runs


def write_openvino(
    segmenter: Segmenter,
    path: Path,
    size: tuple[int, int],
    card: AdapterCard | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write what a segmenter does without prompts as OpenVINO's .xml, its weights beside as .bin.

    Input and output are those of `write_onnx`. Weights are float32; which precision it runs in
    says the program that compiles it: INFERENCE_PRECISION_HINT, whose default may be bf16.

    Args:
        segmenter: what is written; it is not changed.
        path: file to write, .xml.
        size: rows and columns of the images.
        card: what its adapter says of itself, for the file's metadata.
        overwrite: replace files that stand there.

    Raises:
        InputError: the files cannot be written, or its recipe cannot be traced; see
            `SegmenterGraph`.
        MissingExtraError: openvino is not installed.
        StoppedError: the disk is full; earlier files are as they were.
    """
    check_target(path, (".xml",), overwrite=overwrite)
    check_target(path.with_suffix(".bin"), (".bin",), overwrite=overwrite)
    if find_spec("openvino") is None:
        raise MissingExtraError("OpenVINO is not installed: pip install 'samdomain[openvino]'")
    import openvino as ov  # noqa: PLC0415 - an extra

    graph = to_openvino(trace(segmenter, size), [[_ANY, channels(segmenter), *size]])
    graph.input(0).get_tensor().set_names({INPUT})
    graph.output(0).get_tensor().set_names({OUTPUT})
    for name, value in told(segmenter, card or AdapterCard()).items():
        graph.set_rt_info(value, ["samdomain", name])
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            ov.save_model(graph, made, compress_to_fp16=False)
            # The weights first, so that no graph stands there without them.
            for file in (made.with_suffix(".bin"), made):
                with whole_file(path.with_suffix(file.suffix), durable=True) as scratch:
                    file.replace(scratch)
