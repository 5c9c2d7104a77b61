"""Run the frozen beginning of an image encoder once for each image, and keep what it made."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.cache.store import DEFAULT_LIMIT, FeatureStore, rounded
from samdomain.errors import InputError
from samdomain.injection import injections
from samdomain.sam import Sam, SamLike
from samdomain.sam.stepwise import Features, Step, StepwiseEncoder

_CURRENT = "x"


class CachedSam(SamLike):
    """A view of a SAM whose image encoder keeps on disk what its frozen part computed.

    `encode`, `decode` and every recipe take it in the place of the model. It holds no
    parameters: train, save and accelerate the model itself.

    Attributes:
        sam: the model that is trained.
    """

    def __init__(self, sam: Sam, encoder: "CachedEncoder") -> None:
        self.sam = sam
        self.spec = sam.spec
        self.image_encoder = encoder
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder


def cache_features(
    sam: Sam,
    folder: str | Path,
    *,
    limit: int = DEFAULT_LIMIT,
    strides: Collection[int] = (),
) -> CachedSam:
    """Return a view of a model that runs its frozen part once for each image.

    The cut is where the first parameter that trains is used: before the first trained block,
    or behind the encoder when only the decoder trains. What is found there is kept in half
    precision, by a key of the pixels as the encoder gets them and of the weights before the
    cut. So another image, view, preprocessing or weight is never mistaken for this one, and
    a change of what trains moves the cut.

    Augment images by a fixed number of geometric views (see `samdomain.views`): random crops
    and colours make every image new, and the cache useless.

    Args:
        sam: model to train; it is not changed.
        folder: where features are kept; several processes may share it.
        limit: bytes on disk at most; the least recently used features are dropped first.
        strides: strides of the encoder's own maps that `Embedding.levels` shall have. Each
            takes room on disk; none by default, since the mask decoder reads none.

    Raises:
        InputError: the encoder has no map at one of the strides.
    """
    encoder = sam.image_encoder
    return CachedSam(sam, CachedEncoder(sam, encoder, FeatureStore(Path(folder), limit), strides))


class CachedEncoder:
    """Encode images as a model's own encoder does, its frozen part from disk where it is there."""

    def __init__(
        self, sam: Sam, encoder: object, store: FeatureStore, strides: Collection[int]
    ) -> None:
        if not isinstance(encoder, StepwiseEncoder):
            raise InputError(
                f"features of a {type(encoder).__name__} cannot be kept: it does not run by "
                "steps; inherit from samdomain.sam.stepwise.StepwiseEncoder"
            )
        self._sam = sam
        self._encoder = encoder
        self._store = store
        self._strides = tuple(sorted(strides))
        self._digests: dict[tuple[object, ...], bytes] = {}

    def __call__(
        self, pixels: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b d h w"], dict[int, Float[Tensor, "b _ _ _"]]]:
        """Return the embedding and the maps at the strides that were asked for."""
        steps = self._encoder.steps()
        cut = first_trained(steps)
        features: Features = (pixels, {})
        if cut:
            features = self._prefix(steps[:cut], pixels)
        for step in steps[cut:]:
            features = step.run(features)
        main, levels = features
        if absent := set(self._strides) - set(levels):
            raise InputError(
                f"{self._sam.spec.name!r} has no map at stride {sorted(absent)}: "
                f"it has {sorted(levels)}"
            )
        return main, {stride: levels[stride] for stride in self._strides}

    def _prefix(self, steps: Sequence[Step], pixels: Tensor) -> Features:
        digest = self._digest(steps)
        keys = [_key(digest, image) for image in pixels]
        rows = [self._store.get(key) for key in keys]
        missing = [i for i, row in enumerate(rows) if row is None]
        if missing:
            for i, row in zip(missing, self._run(steps, pixels[missing]), strict=True):
                self._store.put(keys[i], row)
                # As it will be read the next time: epochs must not differ.
                rows[i] = {name: rounded(one).float() for name, one in row.items()}
        found = [row for row in rows if row is not None]
        maps = {
            name: torch.stack([row[name] for row in found]).to(pixels.device) for name in found[0]
        }
        current = maps.pop(_CURRENT)
        return current, {int(stride): one for stride, one in maps.items()}

    def _run(self, steps: Sequence[Step], pixels: Tensor) -> list[dict[str, Tensor]]:
        features: Features = (pixels, {})
        # What is kept must not depend on the caller's precision.
        with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
            for step in steps:
                features = step.run(features)
        current, levels = features
        kept = {str(stride): one for stride, one in levels.items() if stride in self._strides}
        return [
            {_CURRENT: current[i], **{name: one[i] for name, one in kept.items()}}
            for i in range(len(pixels))
        ]

    def _digest(self, steps: Sequence[Step]) -> bytes:
        tensors = [tensor for step in steps for tensor in step.tensors()]
        # A tensor that is written to counts its versions: unchanged ones need no second look.
        state = (len(steps), *((id(one), one._version) for one in tensors))  # noqa: SLF001
        if state not in self._digests:
            self._digests = {state: self._measure(steps, tensors)}
        return self._digests[state]

    def _measure(self, steps: Sequence[Step], tensors: Sequence[Tensor]) -> bytes:
        digest = hashlib.blake2b(repr((len(steps), self._strides)).encode())
        # What injections compute depends on more than their tensors, as LoRA's alpha.
        digest.update(repr([record.injection for record in injections(self._sam)]).encode())
        digest.update(repr([one for step in steps for one in step.owned if _shown(one)]).encode())
        for tensor in tensors:
            digest.update(_bytes(tensor))
        return digest.digest()


def first_trained(steps: Sequence[Step]) -> int:
    """Return the index of the first step with a parameter that trains; their number if none."""
    for i, step in enumerate(steps):
        if any(one.requires_grad for one in step.parameters()):
            return i
    return len(steps)


def _shown(one: object) -> bool:
    return isinstance(one, nn.Module)


def _key(digest: bytes, image: Tensor) -> str:
    return hashlib.blake2b(_bytes(image), key=digest, digest_size=16).hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
