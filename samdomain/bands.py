"""Take images of more bands than a base was trained with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samdomain.errors import InjectionError, InputError
from samdomain.injection import Injected, InjectedModule, Injection
from samdomain.modules import convolution_with, grown, match
from samdomain.sam import Sam, SamSpec


class BandConv2d(InjectedModule, nn.Conv2d):
    """Mix the bands to the base's channels, then convolve with the frozen weight.

    Attributes:
        bands: weights (base channels, bands) of the mixture, without bias.
    """

    bands: nn.Parameter

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, (b, bands, h, w) to (b, out, h', w')."""
        return super().forward(F.conv2d(input, self.bands[:, :, None, None]))

    def merged(self) -> nn.Conv2d:
        """Return a plain convolution of all bands.

        The mixture has no bias, so zeros at the border stay zeros, and both fold exactly.
        """
        weight = torch.einsum("orhw,rc->ochw", self.weight.double(), self.bands.double())
        return convolution_with(self, weight.detach().to(self.weight))


@dataclass(frozen=True)
class Bands(Injection):
    """Put a trained mixture of bands in front of an encoder.

    At the start it passes the bands that the base knows, and none of the others, so that the
    output is that of the base on those bands. The spec says from then on how many bands an
    image has.

    Merged, the mixture becomes part of the encoder's first convolution: the model still takes
    all bands, its checkpoint has the base's keys, but that one weight has another shape, and a
    loader has to be told the spec.

    Attributes:
        in_channels: number of bands of an image.
        rgb: which band is the base's first channel (red), second (green), third (blue);
            counted from 0.
        added_mean: mean of each other band, in the order of the bands; the mean over the base's
            channels by default.
        added_std: standard deviation of each other band, likewise.

    With scaling "none", both are in the units of the pixels. With "minmax", the base's channels
    are scaled by their joint range, as before, and every other band by its own; the statistics
    are those of values from 0 to 1.

    Raises:
        InjectionError: bands are missing, named twice, or have no statistics.
    """

    kind: ClassVar[str] = "bands"
    in_channels: int = 4
    rgb: tuple[int, ...] = (0, 1, 2)
    added_mean: tuple[float, ...] | None = None
    added_std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse bands that contradict one another."""
        for name in ("rgb", "added_mean", "added_std"):
            given: Sequence[float] | None = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, tuple(given))  # JSON and YAML have lists
        if len(set(self.rgb)) < len(self.rgb) or not set(self.rgb) <= set(range(self.in_channels)):
            raise InjectionError(
                f"rgb is {self.rgb} of {self.in_channels} bands: give different bands, counted "
                f"from 0 to {self.in_channels - 1}"
            )
        for name in ("added_mean", "added_std"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.added):
                raise InjectionError(
                    f"{name} has {len(given)} values for the {len(self.added)} bands "
                    f"{self.added}: give one each"
                )
        if self.added_std is not None and min(self.added_std, default=1) <= 0:
            raise InjectionError(f"added_std is {self.added_std}: give deviations above 0")

    @property
    def added(self) -> tuple[int, ...]:
        """Bands that the base does not know."""
        return tuple(band for band in range(self.in_channels) if band not in self.rgb)

    def replacements(self, sam: Sam) -> Mapping[str, nn.Module]:
        """Make the encoder's first convolution with a mixture in front."""
        if isinstance(sam.image_encoder, InjectedModule):
            raise InjectionError(
                f"a {type(sam.image_encoder).__name__} reads the base's channels itself: add the "
                "bands first, then the rest"
            )
        self._check_base(sam.spec)
        try:
            stem = match(sam, ["image_encoder.patch_embed.*"], nn.Conv2d)
        except InputError as error:
            raise InjectionError(str(error)) from error
        name, convolution = next(iter(stem.items()))
        if isinstance(convolution, InjectedModule):
            return {name: convolution}  # taken: `inject` refuses it by name
        new = grown(convolution, BandConv2d)
        passed = torch.zeros(len(self.rgb), self.in_channels)
        passed[range(len(self.rgb)), list(self.rgb)] = 1
        new.bands = nn.Parameter(passed.to(convolution.weight))
        return {name: new}

    def adapted_spec(self, spec: SamSpec) -> SamSpec:
        """Return the spec with all bands.

        Raises:
            InjectionError: the base takes another number of channels than `rgb` names.
        """
        self._check_base(spec)
        return replace(
            spec,
            input_channels=self.in_channels,
            pixel_mean=self._statistics(spec.pixel_mean, self.added_mean),
            pixel_std=self._statistics(spec.pixel_std, self.added_std),
            range_channels=self._ranges(spec),
        )

    def _check_base(self, spec: SamSpec) -> None:
        if len(self.rgb) != spec.input_channels:
            raise InjectionError(
                f"rgb names {len(self.rgb)} bands, but {spec.name!r} takes "
                f"{spec.input_channels} channels: name one for each"
            )

    def _statistics(
        self, known: tuple[float, ...], added: tuple[float, ...] | None
    ) -> tuple[float, ...]:
        if added is None:
            added = (sum(known) / len(known),) * len(self.added)
        by_band = dict(zip((*self.rgb, *self.added), (*known, *added), strict=True))
        return tuple(by_band[band] for band in range(self.in_channels))

    def _ranges(self, spec: SamSpec) -> tuple[int, ...]:
        joint = spec.range_channels or range(spec.input_channels)
        return tuple(self.rgb[channel] for channel in joint)


def add_bands(sam: Sam, in_channels: int, rgb: tuple[int, ...] = (0, 1, 2)) -> Injected:
    """Let a model take images of more bands, in the model itself.

    Its output on the bands that it knew stays as it was until the others are trained. For the
    statistics of the added bands, call `Bands(...)` on the model.

    Args:
        sam: model to change; from then on `sam.spec` states all bands.
        in_channels: number of bands of an image.
        rgb: which bands are red, green and blue, counted from 0.

    Returns:
        Injected: what was touched.

    Raises:
        InjectionError: the bands do not fit the model; the model is as it was.
    """
    return Bands(in_channels, rgb)(sam)
