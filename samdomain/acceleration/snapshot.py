"""Take a snapshot of a SAM that infers fast and can do nothing else."""

import copy
import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any, get_args

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from samdomain.acceleration.engine import Engine, Levels, Precision
from samdomain.acceleration.engines import choose_engine
from samdomain.backbones import BACKBONES
from samdomain.catalogue import read_injection
from samdomain.errors import InputError
from samdomain.injection import fold, injections
from samdomain.sam import Sam, SamLike, SamSpec
from samdomain.sam.model import ImageEncoder, MaskDecoder, PromptEncoder
from samdomain.weights import cache_folder, load_sam

logger = logging.getLogger(__name__)

# Raised when what is written for a model changes, so that old folders are not read.
_FORMAT = 3


class AcceleratedSam(nn.Module, SamLike):
    """A frozen SAM for inference: it takes part in no training.

    `encode` and `decode` take it in the place of the model that it was made from. Pickled, it
    travels as the path of its files in the user's cache.

    Attributes:
        spec: what the weights expect.
        weights_sha256: digest of the file that the weights came from.
        engine: name and version of the engine that runs encoder and decoder.
    """

    def __init__(self, sam: Sam, engine: Engine, folder: Path, precision: Precision) -> None:
        super().__init__()
        self.spec = sam.spec
        self.weights_sha256 = sam.weights_sha256
        self.engine = engine.key
        encoder, decoder = engine.load(sam, folder, precision)
        self.image_encoder = _Frozen(encoder)
        self.prompt_encoder: PromptEncoder = sam.prompt_encoder
        self.mask_decoder: MaskDecoder = decoder
        self._folder = folder
        self._precision: Precision = precision
        super().train(False)

    def train(self, mode: bool = True) -> "AcceleratedSam":  # noqa: FBT001, FBT002 - torch's signature
        """Refuse to train; `train(False)` and `eval()` change nothing."""
        if mode:
            raise InputError("an accelerated SAM cannot train: train the model it was made from")
        return self

    def requires_grad_(self, requires_grad: bool = True) -> "AcceleratedSam":  # noqa: FBT001, FBT002 - torch's signature
        """Refuse gradients; `requires_grad_(False)` changes nothing."""
        if requires_grad:
            raise InputError("an accelerated SAM has no gradients: use the model it was made from")
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._folder, self._precision)


class _Frozen:
    """An encoder that refuses pixels which ask for gradients."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder

    def __call__(self, pixels: Float[Tensor, "b c s s"]) -> tuple[Tensor, Levels]:
        if pixels.requires_grad and torch.is_grad_enabled():
            raise InputError("an accelerated SAM has no gradients: use the model it was made from")
        with torch.no_grad():
            return self._encoder(pixels)


def accelerate(sam: Sam, precision: Precision = "f32") -> AcceleratedSam:
    """Return a snapshot of a SAM that infers faster and cannot be trained.

    On a CPU encoder and decoder run in OpenVINO where the extra `openvino` is installed, on a
    GPU torch compiles the encoder, elsewhere they run as they are. The first call for some
    weights converts them, which takes up to a minute; the result stays in the user's cache.

    Args:
        sam: model as it stands; later changes to it do not reach the snapshot. What was
            injected is folded into the weights where it can be, and kept beside them elsewhere.
        precision: "f32", or "bf16": faster where the processor knows it, and less exact.

    Raises:
        InputError: the precision is unknown.
    """
    if precision not in get_args(Precision):
        allowed = ", ".join(get_args(Precision))
        raise InputError(f"precision {precision!r} is unknown: allowed are {allowed}")
    snapshot = copy.deepcopy(sam).eval().requires_grad_(False)
    fold(snapshot)
    engine = choose_engine(snapshot)
    folder = cache_folder() / "engines" / f"{_fingerprint(snapshot)}-{engine.key}-{_FORMAT}"
    if not folder.exists():
        logger.info("preparing %s for %s, once for these weights", sam.spec.name, engine.key)
        _convert(snapshot, engine, folder)
    return AcceleratedSam(snapshot, engine, folder, precision)


def _convert(sam: Sam, engine: Engine, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        engine.convert(sam, scratch)
        state = {name: tensor.contiguous() for name, tensor in sam.state_dict().items()}
        save_file(state, scratch / "sam.safetensors")
        identity = {
            "spec": sam.spec.to_json(),
            "weights_sha256": sam.weights_sha256,
            "injections": _stay(sam),
        }
        (scratch / "sam.json").write_text(json.dumps(identity))
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.exists():  # another process was faster otherwise
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _restore(folder: Path, precision: Precision) -> AcceleratedSam:
    identity = json.loads((folder / "sam.json").read_text())
    spec = SamSpec.from_json(identity["spec"])
    if spec.name in BACKBONES:
        sam = BACKBONES[spec.name].build(spec)
        for values in identity["injections"]:
            read_injection(values)(sam)
        sam.load_state_dict(load_file(folder / "sam.safetensors"))
    else:
        sam = load_sam(folder / "sam.safetensors")
        sam.spec = spec
    sam.weights_sha256 = identity["weights_sha256"]
    return accelerate(sam, precision)


def _stay(sam: Sam) -> list[dict[str, Any]]:
    """Return the injections that could not be folded into the weights."""
    return [record.injection.to_json() for record in injections(sam)]


def _fingerprint(sam: Sam) -> str:
    """Return a digest of all that the snapshot is made of."""
    digest = hashlib.sha256(json.dumps(sam.spec.to_json(), sort_keys=True).encode())
    # What an injection computes depends on more than its tensors.
    digest.update(json.dumps(_stay(sam), sort_keys=True).encode())
    for part in (sam.image_encoder, sam.prompt_encoder, sam.mask_decoder):
        digest.update(f"{type(part).__module__}.{type(part).__qualname__}".encode())
    for name, tensor in sam.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:24]
