"""Adapt the Segment Anything family to fields that it was never trained for.

The road from pixels to masks, each step a free function over a model:

    sam = load_sam("litemedsam")                    weights: found, verified, safely loaded
    embedding = encode(sam, pixels)                 the costly step, once an image
    prediction = decode(sam, embedding, prompts)    any number of times, differentiable
    fast = accelerate(sam)                          a frozen snapshot for inference
    add_lora(sam)                                   trains a small part, silent at the start

Rooms: `sam` (what a SAM is), `backbones`, `weights`, `acceleration`; `injection` (what every
adaptation keeps to) with `lora`, `adapters`, `prompt_tokens`, `spectral`, `bands` and `classes`
(heads that name every pixel); `latent`, `policies` (what trains), `losses`, `metrics`, `prompting`
(prompts from masks, and a SAM that prompts itself), `cache` (features of the frozen part),
`anchor` (what a model was, and its teacher), `automatic` (everything in an image), `features` (a
second model's), `recipes` (one file a paper: what trains, what it learns, how it answers),
`adapter_file`, `segmenter` (images in, classes of their pixels out), `training` (Lightning around a
recipe); `modules`, `parts`, `views`, `json_values`, `whole_file` (what is read and written), `door`
(where plugins come in), `testing` (contracts), `cli`. Fields live in plugins: `samdomain_geo` for
remote sensing, `samdomain_med` for medical images.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samdomain.acceleration import accelerate
    from samdomain.adapter_file import load_adapter, save_adapter
    from samdomain.adapters import add_adapter
    from samdomain.automatic import AutomaticMasks
    from samdomain.bands import add_bands
    from samdomain.door import Domain, domain, domains
    from samdomain.errors import SamDomainError
    from samdomain.injection import merge
    from samdomain.lora import add_lora
    from samdomain.lora.peft_tuner import add_peft
    from samdomain.policies import trainable_parameters
    from samdomain.prompt_tokens import add_prompt_tokens
    from samdomain.prompting import self_prompt
    from samdomain.sam import Embedding, Prediction, Prompts, SamSpec, decode, encode, pyramid
    from samdomain.segmenter import Segmenter, load_segmenter
    from samdomain.spectral import add_spectral
    from samdomain.weights import load_sam

__version__ = "0.1.0"

__all__ = [
    "AutomaticMasks",
    "Domain",
    "Embedding",
    "Prediction",
    "Prompts",
    "SamDomainError",
    "SamSpec",
    "Segmenter",
    "accelerate",
    "add_adapter",
    "add_bands",
    "add_lora",
    "add_peft",
    "add_prompt_tokens",
    "add_spectral",
    "decode",
    "domain",
    "domains",
    "encode",
    "load_adapter",
    "load_sam",
    "load_segmenter",
    "merge",
    "pyramid",
    "save_adapter",
    "self_prompt",
    "trainable_parameters",
]

# Names resolve on first use, so that `import samdomain` costs next to nothing.
_ROOMS = {
    "AutomaticMasks": "automatic",
    "Domain": "door",
    "Embedding": "sam",
    "Prediction": "sam",
    "Prompts": "sam",
    "SamDomainError": "errors",
    "SamSpec": "sam",
    "Segmenter": "segmenter",
    "accelerate": "acceleration",
    "add_adapter": "adapters",
    "add_bands": "bands",
    "add_lora": "lora",
    "add_peft": "lora.peft_tuner",
    "add_prompt_tokens": "prompt_tokens",
    "add_spectral": "spectral",
    "decode": "sam",
    "domain": "door",
    "domains": "door",
    "encode": "sam",
    "load_adapter": "adapter_file",
    "load_sam": "weights",
    "load_segmenter": "segmenter",
    "merge": "injection",
    "pyramid": "sam",
    "save_adapter": "adapter_file",
    "self_prompt": "prompting",
    "trainable_parameters": "policies",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'samdomain' has no attribute {name!r}")
    return getattr(import_module(f"samdomain.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
