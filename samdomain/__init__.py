"""Adapt the Segment Anything family to fields that it was never trained for.

The road from pixels to masks, each step a free function over a model:

    sam = load_sam("litemedsam")                    weights: found, verified, safely loaded
    embedding = encode(sam, pixels)                 the costly step, once an image
    prediction = decode(sam, embedding, prompts)    any number of times, differentiable
    fast = accelerate(sam)                          a frozen snapshot for inference

Rooms: `sam` (what a SAM is), `backbones`, `weights`, `acceleration`, `modules`, `losses`,
`metrics`, `prompting` (prompts from masks, and a SAM that prompts itself), `door` (where plugins
come in), `testing` (contracts), `cli`. Fields live in plugins: `samdomain_geo` for
remote sensing, `samdomain_med` for medical images.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samdomain.acceleration import accelerate
    from samdomain.door import Domain, domain, domains
    from samdomain.errors import SamDomainError
    from samdomain.prompting import self_prompt
    from samdomain.sam import Embedding, Prediction, Prompts, SamSpec, decode, encode, pyramid
    from samdomain.weights import load_sam

__version__ = "0.1.0"

__all__ = [
    "Domain",
    "Embedding",
    "Prediction",
    "Prompts",
    "SamDomainError",
    "SamSpec",
    "accelerate",
    "decode",
    "domain",
    "domains",
    "encode",
    "load_sam",
    "pyramid",
    "self_prompt",
]

# Names resolve on first use, so that `import samdomain` costs next to nothing.
_ROOMS = {
    "Domain": "door",
    "Embedding": "sam",
    "Prediction": "sam",
    "Prompts": "sam",
    "SamDomainError": "errors",
    "SamSpec": "sam",
    "accelerate": "acceleration",
    "decode": "sam",
    "domain": "door",
    "domains": "door",
    "encode": "sam",
    "load_sam": "weights",
    "pyramid": "sam",
    "self_prompt": "prompting",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'samdomain' has no attribute {name!r}")
    return getattr(import_module(f"samdomain.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
