"""The engines that can run an image encoder faster than plain torch."""

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.sam.model import ImageEncoder

Precision = Literal["f32", "bf16"]

Levels = Mapping[int, Float[Tensor, "b _ _ _"]]


@runtime_checkable
class Engine(Protocol):
    """Turn an image encoder into one that only infers.

    Attributes:
        key: name and version; a converted model of another key is converted anew.
    """

    key: str

    def convert(self, encoder: nn.Module, example: Float[Tensor, "1 c s s"], folder: Path) -> None:
        """Write what the engine needs into a folder, once for an encoder."""
        ...

    def load(self, encoder: nn.Module, folder: Path, precision: Precision) -> ImageEncoder:
        """Return the encoder, from the folder where `convert` has written into it."""
        ...


class TorchEngine:
    """Plain torch on a CPU without OpenVINO; compiled, with fused attention, on a GPU."""

    key = f"torch-{torch.__version__}"

    def convert(self, encoder: nn.Module, example: Float[Tensor, "1 c s s"], folder: Path) -> None:
        """Write nothing: torch runs the encoder as it is."""

    def load(self, encoder: nn.Module, folder: Path, precision: Precision) -> ImageEncoder:  # noqa: ARG002 - the protocol's
        """Return the encoder, compiled where it stands on a GPU."""
        on_gpu = next(encoder.parameters()).is_cuda
        run = torch.compile(encoder) if on_gpu else encoder
        return run if precision == "f32" else _Autocast(run)


class _Autocast:
    """Run an encoder in bf16 and hand its maps on in float32."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __call__(self, pixels: Float[Tensor, "b c s s"]) -> tuple[Tensor, Levels]:
        with torch.autocast(pixels.device.type, torch.bfloat16):
            main, levels = self._encoder(pixels)
        return main.float(), {stride: level.float() for stride, level in levels.items()}


class OpenVinoEngine:
    """OpenVINO on a CPU.

    The model is converted for one image at a time: a batch is a loop, so that an image comes
    out the same whatever it was batched with.
    """

    def __init__(self) -> None:
        self.key = f"openvino-{version('openvino')}"

    def convert(self, encoder: nn.Module, example: Float[Tensor, "1 c s s"], folder: Path) -> None:
        """Trace the encoder and write it as OpenVINO's model in float32.

        Takes about half a minute and some GB of memory; afterwards a run needs neither.
        """
        import openvino as ov  # noqa: PLC0415 - an extra

        flat = _Flat(encoder)
        with warnings.catch_warnings():
            # The shapes are fixed, so what the tracer takes for constants are constants.
            warnings.simplefilter("ignore")
            model = ov.convert_model(flat, example_input=example, input=list(example.shape))
        ov.save_model(model, folder / "encoder.xml", compress_to_fp16=False)
        (folder / "strides.txt").write_text(" ".join(map(str, flat.strides)))

    def load(self, encoder: nn.Module, folder: Path, precision: Precision) -> ImageEncoder:  # noqa: ARG002 - the protocol's
        """Return the converted encoder, compiled for this machine."""
        return _OpenVinoEncoder(folder, precision)


class _Flat(nn.Module):
    """An encoder whose maps are a tuple: a trace has no dictionary of integers."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.strides: tuple[int, ...] = ()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        main, levels = self.encoder(pixels)
        self.strides = tuple(levels)
        return (main, *levels.values())


class _OpenVinoEncoder:
    """Run OpenVINO's model where an image encoder is expected."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        import openvino as ov  # noqa: PLC0415 - an extra

        self._strides = [int(stride) for stride in (folder / "strides.txt").read_text().split()]
        # The engine's own default on some processors is bf16, with 5% of error: say it.
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
            "PERFORMANCE_HINT": "LATENCY",
            "CACHE_DIR": str(folder / f"compiled-{precision}"),
        }
        self._run = ov.Core().compile_model(folder / "encoder.xml", "CPU", settings)

    def __call__(self, pixels: Float[Tensor, "b c s s"]) -> tuple[Tensor, Levels]:
        # The result's memory belongs to the engine and is written over by the next call.
        rows = [
            [torch.from_numpy(part.copy()) for part in self._run(image[None].numpy()).values()]
            for image in pixels
        ]
        main, *levels = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return main, dict(zip(self._strides, levels, strict=True))


def choose_engine(encoder: nn.Module) -> Engine:
    """Return the fastest engine for where the encoder stands."""
    on_cpu = next(encoder.parameters()).device.type == "cpu"
    if on_cpu and find_spec("openvino") is not None:
        return cast(Engine, OpenVinoEngine())
    return cast(Engine, TorchEngine())
