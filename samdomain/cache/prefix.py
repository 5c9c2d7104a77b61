"""Run the frozen beginning of an encoder once for several passes over the same images."""

import torch
from jaxtyping import Float
from torch import Tensor

from samdomain.cache.encoder import first_trained
from samdomain.sam import SamLike
from samdomain.sam.model import SamView
from samdomain.sam.stepwise import Features, StepwiseEncoder


class SharedPrefix(SamView):
    """A view of a SAM whose passes over the same images share what does not train.

    What comes before the first parameter that trains is run once, without gradients, and serves
    until other images come: for passes with other values of what trains, see
    `samdomain.anchor`. Features on disk are shared already; such a view is left as it is. It is
    for one training step: frozen weights that change meanwhile are not seen.

    Args:
        sam: model or view to look at.
    """

    def __init__(self, sam: SamLike) -> None:
        self.sam = sam
        self.spec = sam.spec
        encoder = sam.image_encoder
        self.image_encoder = _Shared(encoder) if isinstance(encoder, StepwiseEncoder) else encoder
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder


class _Shared:
    def __init__(self, encoder: StepwiseEncoder) -> None:
        self._encoder = encoder
        self._pixels: Tensor | None = None
        self._prefix: Features | None = None

    def __call__(
        self, pixels: Float[Tensor, "b c s s"]
    ) -> tuple[Float[Tensor, "b d h w"], dict[int, Float[Tensor, "b _ _ _"]]]:
        steps = self._encoder.steps()
        cut = first_trained(steps)
        features = self._frozen(pixels, cut)
        for step in steps[cut:]:
            features = step.run(features)
        main, levels = features
        return main, dict(levels)

    def _frozen(self, pixels: Tensor, cut: int) -> Features:
        known = self._pixels is not None and torch.equal(self._pixels, pixels)
        if self._prefix is None or not known:
            features: Features = (pixels, {})
            with torch.no_grad():
                for step in self._encoder.steps()[:cut]:
                    features = step.run(features)
            self._pixels, self._prefix = pixels, features
        return self._prefix
