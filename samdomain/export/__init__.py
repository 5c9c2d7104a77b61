"""A segmenter as files that run without samdomain: ONNX, OpenVINO, plain checkpoints."""

from samdomain.export.graph import SegmenterGraph
from samdomain.export.onnx_file import write_onnx
from samdomain.export.openvino_file import write_openvino

__all__ = ["SegmenterGraph", "write_onnx", "write_openvino"]
