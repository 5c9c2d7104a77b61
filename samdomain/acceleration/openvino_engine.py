"""OpenVINO: image encoder and mask decoder as compiled graphs on a CPU."""

from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.acceleration.conversion import trace_to_openvino
from samdomain.acceleration.engine import Levels, Precision
from samdomain.backbones.decoder import MaskDecoder as StandardDecoder
from samdomain.sam import Sam
from samdomain.sam.model import ImageEncoder, MaskDecoder

# A dimension whose size is known only when the graph runs.
_ANY = -1


class OpenVinoEngine:
    """OpenVINO on a CPU.

    Images and prompts run one at a time, so that each comes out the same whatever it was
    batched with, and memory does not grow with their number. The decoder runs in float32 at
    every precision: bf16 would gain little there and move outlines. A decoder other than
    SAM's own stays in torch.
    """

    def __init__(self) -> None:
        self.key = f"openvino-{version('openvino')}"

    def convert(self, sam: Sam, folder: Path) -> None:
        """Trace the parts and write them as OpenVINO's graphs in float32.

        Takes some 20 seconds for the embedded weights; later runs need none of it.
        """
        spec = sam.spec
        encoder = _FlatEncoder(cast(nn.Module, sam.image_encoder))
        pixels = torch.zeros(1, spec.input_channels, spec.input_size, spec.input_size)
        _write(encoder, (pixels,), [list(pixels.shape)], folder / "encoder.xml")
        (folder / "strides.txt").write_text(" ".join(map(str, encoder.strides)))
        if _is_standard(sam.mask_decoder):
            _write_decoder(sam, folder / "decoder.xml")

    def load(
        self, sam: Sam, folder: Path, precision: Precision
    ) -> tuple[ImageEncoder, MaskDecoder]:
        """Return the converted parts, compiled for this machine."""
        encoder = _OpenVinoEncoder(folder, precision)
        if not _is_standard(sam.mask_decoder):
            return encoder, sam.mask_decoder
        return encoder, cast(MaskDecoder, _OpenVinoDecoder(sam.mask_decoder, folder))


class _OpenVinoEncoder:
    """Run OpenVINO's graph where an image encoder is expected."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        self._strides = [int(stride) for stride in (folder / "strides.txt").read_text().split()]
        self._run = _Graph(folder / "encoder.xml", precision)

    def __call__(self, pixels: Float[Tensor, "b c s s"]) -> tuple[Tensor, Levels]:
        rows = [self._run(image[None]) for image in pixels]
        main, *levels = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return main, dict(zip(self._strides, levels, strict=True))


class _OpenVinoDecoder(nn.Module):
    """Run OpenVINO's graph where a mask decoder is expected, and torch where gradients are."""

    def __init__(self, decoder: MaskDecoder, folder: Path) -> None:
        super().__init__()
        self.in_torch = decoder
        self._run = _Graph(folder / "decoder.xml", "f32")

    def forward(
        self,
        *,
        image_embeddings: Float[Tensor, "n d h w"],
        image_pe: Float[Tensor, "1 d h w"],
        sparse_prompt_embeddings: Float[Tensor, "n t d"],
        dense_prompt_embeddings: Float[Tensor, "n d h w"],
        multimask_output: bool,
    ) -> tuple[Float[Tensor, "n m s s"], Float[Tensor, "n m"]]:
        """Return low-resolution logits and the predicted IoU of each, prompt by prompt."""
        parts = (image_embeddings, sparse_prompt_embeddings, dense_prompt_embeddings)
        differentiable = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
        if differentiable or not len(sparse_prompt_embeddings):
            return self.in_torch(
                image_embeddings=image_embeddings,
                image_pe=image_pe,
                sparse_prompt_embeddings=sparse_prompt_embeddings,
                dense_prompt_embeddings=dense_prompt_embeddings,
                multimask_output=multimask_output,
            )
        rows = [
            self._run(image[None], image_pe, sparse[None], dense[None])
            for image, sparse, dense in zip(*parts, strict=True)
        ]
        logits, iou = (torch.cat(outputs) for outputs in zip(*rows, strict=True))
        # The first mask is the single answer, the others are alternatives.
        wanted = slice(1, None) if multimask_output else slice(0, 1)
        return logits[:, wanted], iou[:, wanted]


class _Graph:
    """A graph on disk, compiled for this machine when it first runs, for torch's threads then."""

    def __init__(self, path: Path, precision: Precision) -> None:
        self._path, self._precision = path, precision

    @cached_property
    def _compiled(self) -> Any:
        import openvino as ov  # noqa: PLC0415 - an extra

        # The engine's own default on some processors is bf16, with 5% of error: say it.
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
            "PERFORMANCE_HINT": "LATENCY",
            # Pinned, the threads of all processes would sit on the same first cores.
            "ENABLE_CPU_PINNING": "NO",
            "CACHE_DIR": str(self._path.parent / f"compiled-{self._precision}"),
        }
        return ov.Core().compile_model(self._path, "CPU", settings)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        arrays = [part.detach().contiguous().numpy() for part in inputs]
        # The result's memory belongs to the engine and is written over by the next call.
        return [torch.from_numpy(part.copy()) for part in self._compiled(arrays).values()]


class _FlatEncoder(nn.Module):
    """An encoder whose maps are a tuple: a trace has no dictionary of integers."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.strides: tuple[int, ...] = ()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        main, levels = self.encoder(pixels)
        self.strides = tuple(levels)
        return (main, *levels.values())


class _AllMasks(nn.Module):
    """A decoder that returns the single mask and the alternatives in one run."""

    def __init__(self, decoder: StandardDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.predict_masks(*inputs)


def _is_standard(decoder: MaskDecoder) -> bool:
    # A subclass may choose among the masks in a way of its own.
    return type(decoder) is StandardDecoder


def _write_decoder(sam: Sam, path: Path) -> None:
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder(points=None, boxes=box, masks=None)
        grid = sam.prompt_encoder.get_dense_pe()
    dense = dense.contiguous()
    inputs = (torch.zeros_like(dense), grid, sparse, dense)
    shapes = [list(part.shape) for part in inputs]
    shapes[2][1] = _ANY  # a box is two tokens, each click is one
    _write(_AllMasks(cast(StandardDecoder, sam.mask_decoder)), inputs, shapes, path)


def _write(part: nn.Module, inputs: tuple[Any, ...], shapes: list[list[int]], path: Path) -> None:
    import openvino as ov  # noqa: PLC0415 - an extra

    graph = trace_to_openvino(part, inputs, shapes)
    ov.save_model(graph, path, compress_to_fp16=False)
