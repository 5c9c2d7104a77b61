"""The engines that can run a finished SAM, and which of them fits a machine."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.acceleration.engine import Engine, Levels, Precision
from samdomain.acceleration.openvino_engine import OpenVinoEngine
from samdomain.sam import Sam
from samdomain.sam.model import ImageEncoder, MaskDecoder


class TorchEngine:
    """Plain torch on a CPU without OpenVINO; compiled, with fused attention, on a GPU."""

    key = f"torch-{torch.__version__}"

    def convert(self, sam: Sam, folder: Path) -> None:
        """Write nothing: torch runs the parts as they are."""

    def load(
        self,
        sam: Sam,
        folder: Path,  # noqa: ARG002 - the protocol's
        precision: Precision,
    ) -> tuple[ImageEncoder, MaskDecoder]:
        """Return the parts; the encoder compiled where it stands on a GPU."""
        encoder = sam.image_encoder
        on_gpu = next(cast(nn.Module, encoder).parameters()).is_cuda
        run: Any = torch.compile(cast(nn.Module, encoder)) if on_gpu else _OneByOne(encoder)
        return (run if precision == "f32" else _Autocast(run)), sam.mask_decoder


class _OneByOne:
    """Encode one image at a time: on a CPU a batch of them takes longer than each alone."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder

    def __call__(self, pixels: Float[Tensor, "b c s s"]) -> tuple[Tensor, Levels]:
        mains, levels = zip(*(self._encoder(image[None]) for image in pixels), strict=True)
        joined = {stride: torch.cat([level[stride] for level in levels]) for stride in levels[0]}
        return torch.cat(mains), joined


class _Autocast:
    """Run an encoder in bf16 and hand its maps on in float32."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __call__(self, pixels: Float[Tensor, "b c s s"]) -> tuple[Tensor, Levels]:
        with torch.autocast(pixels.device.type, torch.bfloat16):
            main, levels = self._encoder(pixels)
        return main.float(), {stride: level.float() for stride, level in levels.items()}


def choose_engine(sam: Sam) -> Engine:
    """Return the fastest engine for where a model stands."""
    on_cpu = next(sam.parameters()).device.type == "cpu"
    if on_cpu and find_spec("openvino") is not None:
        return cast(Engine, OpenVinoEngine())
    return cast(Engine, TorchEngine())
