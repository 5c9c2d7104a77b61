"""SAM-PARSER: tune the singular values of frozen convolutions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from samdomain.errors import InjectionError, InputError
from samdomain.injection import Injected, InjectedModule, Injection
from samdomain.modules import convolution_with, grown, match
from samdomain.sam import Sam

NECK = ("image_encoder.neck.*",)
"""The two convolutions of SAM's neck: 512 values on every ViT."""


class SpectralConv2d(InjectedModule, nn.Conv2d):
    """Convolve with a weight whose singular values can be moved.

    The weight W, reshaped to (out, in * rows * columns), is U diag(s) V^T. Only the difference
    d to s trains: W + U diag(d) V^T is the weight, so that d = 0 is the base to the last bit. A
    singular value s + d below zero is allowed; it turns its direction round.

    U, s and V are not in the state dict, and thus in no adapter file: they are computed from W,
    in float64 on the CPU, here and whenever another W is loaded. A singular vector's sign, which
    is not determined, has no influence on U diag(d) V^T.

    Attributes:
        singular_deltas: d, zeros at the start.
        left: U (out, r), orthonormal columns.
        right: V^T (r, in * rows * columns), orthonormal rows.
        singular_values: s (r,), largest first.
    """

    singular_deltas: nn.Parameter
    left: Tensor
    right: Tensor
    singular_values: Tensor

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> "SpectralConv2d":
        """Make one in the place of a plain convolution, which stays as it is."""
        new = grown(convolution, cls)
        weight = convolution.weight
        rank = min(weight.shape[0], weight[0].numel())
        new.singular_deltas = nn.Parameter(weight.new_zeros(rank))
        for name in ("left", "right", "singular_values"):
            new.register_buffer(name, None, persistent=False)
        new.decompose()
        new.register_load_state_dict_post_hook(_decompose_again)
        return new

    @torch.no_grad()
    def decompose(self) -> None:
        """Compute U, s and V of the weight as it stands."""
        matrix = self.weight.detach().flatten(1).cpu().double()
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        self.left, self.singular_values, self.right = (
            part.to(self.weight).contiguous() for part in (left, values, right)
        )

    def moved(self) -> Float[Tensor, "out inner rows columns"]:
        """Return the weight with its singular values moved."""
        change = (self.left * self.singular_deltas) @ self.right
        return self.weight + change.view_as(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, as torch's Conv2d."""
        return self._conv_forward(input, self.moved(), self.bias)

    def merged(self) -> nn.Conv2d:
        """Return a plain convolution with the moved weight."""
        return convolution_with(self, self.moved().detach())


def _decompose_again(module: nn.Module, _: Any) -> None:
    if isinstance(module, SpectralConv2d):
        module.decompose()


@dataclass(frozen=True)
class Spectral(Injection):
    """Tune the singular values of an encoder's convolutions, and nothing else.

    Attributes:
        convolutions: shell patterns over the dotted names of ungrouped convolutions; those of
            the neck by default. The published code also takes the patch embedding of a ViT
            apart ("image_encoder.patch_embed.proj"), but does not train it.

    Source: Peng et al., SAM-PARSER: Fine-tuning SAM Efficiently by Parameter Space
    Reconstruction (2024), section "Method". The published code trains the whole neck and the
    decoder, against the paper's 512 values; this trains the 512.
    """

    kind: ClassVar[str] = "spectral"
    convolutions: tuple[str, ...] = NECK

    def __post_init__(self) -> None:
        """Take lists as well, which JSON and YAML have."""
        object.__setattr__(self, "convolutions", tuple(self.convolutions))

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make convolutions whose singular values train."""
        try:
            found = match(sam, self.convolutions, nn.Conv2d)
        except InputError as error:
            raise InjectionError(str(error)) from error
        if grouped := [name for name, module in found.items() if module.groups > 1]:
            raise InjectionError(
                f"{grouped[0]!r} is a grouped convolution, whose weight is no one matrix: leave it "
                "out of the patterns"
            )
        return {
            name: module if isinstance(module, InjectedModule) else SpectralConv2d.of(module)
            for name, module in found.items()
        }


def add_spectral(sam: Sam, convolutions: tuple[str, ...] = NECK) -> Injected:
    """Let the singular values of a model's convolutions train, in the model itself.

    Args:
        sam: model to change.
        convolutions: see `Spectral`.

    Returns:
        Injected: what was touched.

    Raises:
        InjectionError: a pattern matches no convolution, a grouped one, or one that was injected
            before; the model is as it was.
    """
    return Spectral(convolutions)(sam)
