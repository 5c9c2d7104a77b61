"""Run the frozen beginning of an encoder faster, while the rest of it trains."""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from samdomain.acceleration.conversion import trace_to_openvino
from samdomain.sam.stepwise import Features, Step

logger = logging.getLogger(__name__)

# Below so many parameters the conversion, 7 seconds for LiteMedSAM, takes longer than it saves.
_WORTH = 1_000_000


class FastSteps:
    """Run the steps of an encoder that do not train, in OpenVINO where that pays.

    On two cores OpenVINO ran LiteMedSAM's steps 1.8 times as fast as torch did in the layout that
    suits it best. Without it, where the steps are small, and where it cannot convert something that
    was put into them, they run as they are. Results differ from torch's in the last bits.

    Args:
        steps: the steps; nothing in them trains.
        example: one image (1, C, S, S) as it goes in.
    """

    def __init__(self, steps: Sequence[Step], example: Tensor) -> None:
        self._steps = list(steps)
        self._strides: tuple[int, ...] = ()
        pays = sum(one.numel() for step in steps for one in step.parameters()) >= _WORTH
        here = example.device.type == "cpu" and find_spec("openvino") is not None
        self._graph = self._compiled_or_none(example) if pays and here else None

    def __call__(self, pixels: Tensor) -> Features:
        """Return the current map behind the steps, and the encoder's own maps so far."""
        if self._graph is None:
            return _run(self._steps, (pixels, {}))
        found = self._graph([pixels.detach().contiguous().numpy()]).values()
        # The results' memory belongs to the engine and is written over by the next call.
        current, *levels = (torch.from_numpy(one.copy()) for one in found)
        return current, dict(zip(self._strides, levels, strict=True))

    def _compiled_or_none(self, example: Tensor) -> Any | None:
        try:
            return self._compiled(example)
        except Exception as error:  # noqa: BLE001 - tracer and converter share no class of theirs
            reason = next((line for line in str(error).splitlines() if line), type(error).__name__)
            logger.warning("the frozen part runs in torch, OpenVINO cannot take it: %s", reason)
            return None

    def _compiled(self, example: Tensor) -> Any:
        import openvino as ov  # noqa: PLC0415 - an extra

        flat = _Flat(self._steps)
        graph = trace_to_openvino(flat, (example,), [example.shape])
        self._strides = flat.strides
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": "NO",
        }
        return ov.Core().compile_model(graph, "CPU", settings)


class _Flat(nn.Module):
    """Steps whose maps come out as a tuple: a trace has no dictionary of integers."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self._steps = steps
        # The tracer takes what is not below the module for a constant, and so for no gradient.
        owned = [one for step in steps for one in step.owned]
        self.modules_of_steps = nn.ModuleList([m for m in owned if isinstance(m, nn.Module)])
        self.strides: tuple[int, ...] = ()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        current, levels = _run(self._steps, (pixels, {}))
        self.strides = tuple(levels)
        return (current, *levels.values())


def _run(steps: Sequence[Step], features: Features) -> Features:
    for step in steps:
        features = step.run(features)
    return features
