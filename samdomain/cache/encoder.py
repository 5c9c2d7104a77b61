"""Run the frozen beginning of an image encoder once for each image, and keep what it made."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.cache.store import DEFAULT_LIMIT, FeatureStore, rounded
from samdomain.errors import InputError
from samdomain.injection import Injection, injections
from samdomain.sam import Sam
from samdomain.sam.model import SamView
from samdomain.sam.pyramid import level_strides
from samdomain.sam.stepwise import Features, Step, StepwiseEncoder

_CURRENT = "x"
_NEAR = 0.3  # share of the steps that may be run anew each time, so that features are shared

Run = Callable[[Tensor], Features]
"""Runs steps on one image (1, C, S, S)."""

Prepare = Callable[[Sequence[Step], Tensor], Run]
"""Makes steps ready to run, given one image (1, C, S, S) as an example."""


class CachedSam(SamView):
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
    strides: Collection[int] | None = None,
    prepare: Prepare | None = None,
) -> CachedSam:
    """Return a view of a model that runs its frozen part once for each image.

    The cut is where the first parameter that trains is used: before the first trained block,
    or behind the encoder when only the decoder trains. Where little of the encoder lies between,
    it is where the first injected one is: so a later stage that leaves the encoder alone, and
    the test of an adapter, find what the training of the encoder's end kept. What is found there
    is kept in half precision, by a key of the pixels as the encoder gets them and of the weights
    before the cut. So another image, view, preprocessing or weight is never mistaken for this one,
    and a change of what trains moves the cut.

    Augment images by a fixed number of geometric views (see `samdomain.views`): random crops
    and colours make every image new, and the cache useless.

    Args:
        sam: model to train; it is not changed.
        folder: where features are kept; several processes may share it.
        limit: bytes on disk at most; the least recently used features are dropped first.
        strides: strides of the encoder's own maps that `Embedding.levels` shall have. Each
            takes room on disk; by default those that the model's decoder reads, and SAM's own
            reads none.
        prepare: makes the frozen part run faster, as `samdomain.acceleration.FastSteps`; it
            runs as it is by default.

    Raises:
        InputError: the encoder has no map at one of the strides.
    """
    encoder, store = sam.image_encoder, FeatureStore(Path(folder), limit)
    strides = level_strides(sam) if strides is None else strides
    return CachedSam(sam, CachedEncoder(sam, encoder, store, strides, prepare))


class CachedEncoder:
    """Encode images as a model's own encoder does, its frozen part from disk where it is there."""

    def __init__(
        self,
        sam: Sam,
        encoder: object,
        store: FeatureStore,
        strides: Collection[int],
        prepare: Prepare | None = None,
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
        self._prepare = prepare
        self._prepared: tuple[bytes, Run] | None = None
        self._measured: _Measured | None = None

    def __call__(
        self, pixels: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b d h w"], dict[int, Float[Tensor, "b _ _ _"]]]:
        """Return the embedding and the maps at the strides that were asked for."""
        steps = self._encoder.steps()
        cut = self._cut(steps)
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

    def _cut(self, steps: Sequence[Step]) -> int:
        """Return how many steps are run once for each image."""
        trained = first_trained(steps)
        added = {name for record in injections(self._sam) for name in record.added}
        own = {id(one) for name, one in self._sam.named_parameters() if name in added}
        injected = first_that(steps, lambda one: id(one) in own)
        return injected if 0 <= trained - injected <= _NEAR * len(steps) else trained

    def _prefix(self, steps: Sequence[Step], pixels: Tensor) -> Features:
        digest = self._digest(steps)
        keys = [_key(digest, image) for image in pixels]
        rows = [self._store.get(key) for key in keys]
        found = [
            self._compute(key, digest, steps, image) if row is None else row
            for key, row, image in zip(keys, rows, pixels, strict=True)
        ]
        maps = {
            name: torch.stack([row[name] for row in found]).to(pixels.device) for name in found[0]
        }
        current = maps.pop(_CURRENT)
        return current, {int(stride): one for stride, one in maps.items()}

    def _compute(
        self, key: str, digest: bytes, steps: Sequence[Step], image: Tensor
    ) -> dict[str, Tensor]:
        # What is kept must not depend on the caller's precision, nor on the other images of the
        # batch; on a CPU one by one is faster, too.
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            current, levels = self._runner(digest, steps, image[None])(image[None])
        kept = {str(stride): one for stride, one in levels.items() if stride in self._strides}
        row = {name: one[0] for name, one in {_CURRENT: current, **kept}.items()}
        self._store.put(key, row)
        # As it will be read the next time: epochs must not differ.
        return {name: rounded(one).float() for name, one in row.items()}

    def _runner(self, digest: bytes, steps: Sequence[Step], example: Tensor) -> Run:
        """Return what runs the frozen part, made once for its weights."""
        if self._prepared is None or self._prepared[0] != digest:
            prepare = self._prepare or _as_they_are
            self._prepared = digest, prepare(steps, example)
        return self._prepared[1]

    def _digest(self, steps: Sequence[Step]) -> bytes:
        tensors = [tensor for step in steps for tensor in step.tensors()]
        if self._measured is None or not self._measured.holds(len(steps), tensors):
            digest = self._measure(steps, tensors)
            self._measured = _Measured.of(len(steps), tensors, digest)
        return self._measured.digest

    def _measure(self, steps: Sequence[Step], tensors: Sequence[Tensor]) -> bytes:
        modules = [one for step in steps for one in step.owned if isinstance(one, nn.Module)]
        digest = hashlib.blake2b(repr((len(steps), self._strides)).encode())
        # What injections compute depends on more than their tensors, as LoRA's alpha.
        digest.update(repr(self._injections(modules)).encode())
        digest.update(repr(modules).encode())
        for tensor in tensors:
            digest.update(_bytes(tensor))
        return digest.digest()

    def _injections(self, modules: Sequence[nn.Module]) -> list[Injection]:
        """Return those injections that touch some modules: what lies behind changes nothing."""
        there = {id(part) for module in modules for part in module.modules()}

        def touches(name: str) -> bool:
            return any(id(part) in there for part in self._sam.get_submodule(name).modules())

        records = injections(self._sam)
        return [one.injection for one in records if any(touches(name) for name in one.modules)]


@dataclass(frozen=True, eq=False)
class _Measured:
    """A digest, and what it was made of: unchanged tensors need no second look.

    The tensors and their memory are held, so that no other tensor can come to lie where one of
    them lay and be taken for it.
    """

    steps: int
    tensors: Sequence[Tensor]
    views: Sequence[Tensor]
    versions: Sequence[int]
    digest: bytes

    @classmethod
    def of(cls, steps: int, tensors: Sequence[Tensor], digest: bytes) -> "_Measured":
        views = [one.detach() for one in tensors]
        return cls(steps, tensors, views, [_version(one) for one in tensors], digest)

    def holds(self, steps: int, tensors: Sequence[Tensor]) -> bool:
        """Tell whether the digest is that of so many steps with these tensors."""
        if (steps, len(tensors)) != (self.steps, len(self.tensors)):
            return False
        known = zip(tensors, self.tensors, self.views, self.versions, strict=True)
        return all(
            one is tensor
            and one.data_ptr() == view.data_ptr()  # `Module.to` exchanges the memory
            and one.dtype == view.dtype
            and _version(one) == version
            for one, tensor, view, version in known
        )


def first_trained(steps: Sequence[Step]) -> int:
    """Return the index of the first step with a parameter that trains; their number if none."""
    return first_that(steps, lambda one: one.requires_grad)


def first_that(steps: Sequence[Step], wanted: Callable[[nn.Parameter], bool]) -> int:
    """Return the index of the first step with a parameter that is wanted; their number if none."""
    for i, step in enumerate(steps):
        if any(wanted(one) for one in step.parameters()):
            return i
    return len(steps)


def _as_they_are(steps: Sequence[Step], example: Tensor) -> Run:
    del example

    def run(pixels: Tensor) -> Features:
        features: Features = (pixels, {})
        for step in steps:
            features = step.run(features)
        return features

    return run


def _version(tensor: Tensor) -> int:
    return tensor._version  # noqa: SLF001 - counts writes; torch has no public name for it


def _key(digest: bytes, image: Tensor) -> str:
    return hashlib.blake2b(_bytes(image), key=digest, digest_size=16).hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
